"""Keys of recipes that pages name in passing are keys of recipes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs.running import check_block
from tools.docs.blocks import ROOT, Block, pages
from tools.docs.links import FENCED
from tools.docs.recipe_page import places

from mixwise.kinds import KINDS
from mixwise.recipe import Recipe
from mixwise.registry import names

PAGES = {str(page.relative_to(ROOT)): page for page in pages()}
PATHS = {
    f"{place.path}.{name}".replace("[]", "").replace(".NAME", "")
    for place in places(Recipe, "")
    for name in place.model.model_fields
} | {"experts.horizon_examples"}  # of networks of one's own


def spans(page: Path) -> list[str]:
    """What stands between single backticks."""
    return re.findall(r"`([^`\n]+)`", FENCED.sub("", page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", list(PAGES))
def test_keys_with_values_are_taken(name: str) -> None:
    for span in spans(PAGES[name]):
        key, colon, value = span.partition(": ")
        if colon and value and key in Recipe.model_fields and "…" not in value:
            check_block(Block(name, "yaml", "", "", span))


@pytest.mark.parametrize("name", list(PAGES))
def test_dotted_keys_are_there(name: str) -> None:
    dotted = [
        span
        for span in spans(PAGES[name])
        if re.fullmatch(r"[a-z_]+(\.(?!json|py\b)[a-z_]+)+", span)
    ]
    asked = [span for span in dotted if span.partition(".")[0] in Recipe.model_fields]
    assert not [span for span in asked if span not in PATHS]


def test_a_key_that_is_gone_is_noticed() -> None:
    assert "experts.horizon_tokens" in PATHS
    assert "experts.horizon" not in PATHS


def test_every_kind_and_measure_is_on_its_page() -> None:
    named = set(spans(ROOT / "docs" / "how-to" / "metrics.md"))
    for kind in KINDS.values():
        measures = () if callable(kind.measures) else kind.measures
        assert {kind.name, *(measure.name for measure in measures)} <= named


def test_every_method_and_rule_is_on_its_page() -> None:
    named = set(spans(ROOT / "docs" / "reference" / "methods.md"))
    assert {*names("search method"), *names("merge rule")} <= named
