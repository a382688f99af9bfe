"""Groups of domains in a recipe, for the methods that search in levels."""

from __future__ import annotations

from typing import Any

import pytest
from tests.recipe.minimal import recipe, refuse

from mixwise.domain_groups import DomainGroup
from mixwise.recipe import add_domains
from mixwise.recipe.sections import IN_LEVELS
from mixwise.search.method_table import METHODS

WEB = {name: {"files": f"{name}.txt"} for name in ("web-a", "web-b", "code", "maths")}


def levels(**search: Any) -> dict[str, Any]:
    return {"domains": WEB, "search": {"method": "top-down", **search}}


def test_the_methods_that_search_in_levels_are_those_of_the_table() -> None:
    assert {row.name for row in METHODS.values() if row.over is not None} == set(IN_LEVELS)


def test_a_hierarchy_names_groups_and_leaves_the_rest_alone() -> None:
    found = recipe(**levels(hierarchy={"web": ["web-*"]}))
    assert found.search.domain_groups(found.domain_names) == (
        DomainGroup("web", ("web-a", "web-b")),
        DomainGroup("code", ("code",)),
        DomainGroup("maths", ("maths",)),
    )
    assert recipe().search.domain_groups(("math", "code")) == ()


@pytest.mark.parametrize(
    ("search", "rule"),
    [
        ({}, "`search.method: top-down` needs groups of domains, but there are none"),
        (
            {"method": "auto", "hierarchy": {"web": ["web-*"]}},
            "`search.hierarchy` has no effect with `search.method: auto`: use top-down, bottom-up",
        ),
        ({"hierarchy": {"web": ["wbe-a"]}}, "`search.hierarchy.web`: `wbe-a` is not a domain"),
        ({"hierarchy": {"web": []}}, r"search\.hierarchy\.web.*at least 1 item"),
        ({"hierarchy": {"all": ["*"]}}, "at least two groups to share between"),
    ],
)
def test_what_is_no_hierarchy_is_refused(search: dict[str, Any], rule: str) -> None:
    refuse(rule, **levels(**search))


def test_patterns_fit_domains_that_a_column_names() -> None:
    given = recipe(
        domains={},
        domains_from={"files": "rows.jsonl", "column": "topic"},
        search={"method": "bottom-up", "hierarchy": {"web": ["web-*"]}},
    )
    found = add_domains(given, {"web-a": "A", "web-b": "B", "code": "C"}, "r.yaml")
    web, code = found.search.domain_groups(found.domain_names)
    assert web.members == ("web-a", "web-b")
    assert code.members == ("code",)
