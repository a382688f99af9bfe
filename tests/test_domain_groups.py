import pytest

from mixwise.domain_groups import DomainGroup, group_domains
from mixwise.errors import RecipeError

DOMAINS = ("web-a", "code", "web-b", "maths")


def test_groups_keep_the_domains_order_and_the_rest_follow_alone() -> None:
    assert group_domains(DOMAINS, {"web": ["web-b", "web-a"]}) == (
        DomainGroup("web", ("web-a", "web-b")),
        DomainGroup("code", ("code",)),
        DomainGroup("maths", ("maths",)),
    )


def test_a_pattern_names_all_that_it_fits() -> None:
    web, rest = group_domains(DOMAINS, {"web": ["web-*"], "rest": ["code", "m?ths"]})
    assert web.members == ("web-a", "web-b")
    assert rest.members == ("code", "maths")


@pytest.mark.parametrize(
    ("hierarchy", "message"),
    [
        ({"web": ["wbe-a"]}, "`search.hierarchy.web`: `wbe-a` is not a domain: .*web-a"),
        ({"web": ["books-*"]}, r"`books-\*` fits no domain: correct it"),
        ({"web": ["web-*"], "all": ["web-a"]}, "`web-a` stands in `web` already: keep one"),
        ({"web": ["web-a", "web-*"]}, "`web-a` stands in `web` already"),
        ({"code": ["web-*"]}, "`search.hierarchy.code`: is the name of a domain too"),
        ({"all": ["*"]}, "at least two groups to share between"),
    ],
)
def test_what_is_no_hierarchy_is_refused(hierarchy: dict[str, list[str]], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        group_domains(DOMAINS, hierarchy)
