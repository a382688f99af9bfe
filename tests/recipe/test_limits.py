from typing import Any

import pytest
from tests.recipe.minimal import recipe, refuse

from mixwise.errors import RecipeError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.recipe.limits import SpaceLimits
from mixwise.recipe.sections import Search

CAPS = {"math": 2.0, "code": 0.7, "web": 1.5}


def space(**keys: Any) -> MixtureSpace:
    return Search.model_validate(keys).space(CAPS, run_tokens=2_000_000)


def test_bounds_alone_are_as_before() -> None:
    found = space(bounds={"math": {"min_share": 0.1, "max_share": 0.6}})
    assert (found.lower, found.upper) == ((0.1, 0.0, 0.0), (0.6, 0.7, 1.0))
    assert (found.limits, found.grid) == ((), None)


def test_a_fixed_share_is_both_bounds() -> None:
    found = space(bounds={"math": {"share": 0.25}})
    assert (found.lower[0], found.upper[0]) == (0.25, 0.25)
    assert found.mixture(Mixture.uniform(CAPS).array).shares == (0.25, 0.375, 0.375)


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        (
            {"bounds": {"math": {"share": 0.7}, "web": {"min_share": 0.5}}},
            r"^`min_share` and `share` of the domains must add up to at most 1, .* 1.2: lower one "
            r"of `math` \(0.7, share\), `web` \(0.5\)$",
        ),
        (
            {"bounds": {name: {"share": 0.3} for name in CAPS}},
            r"^`share` of the domains must add up to at least 1, .* raise one of `math` \(0.3, "
            r"share\), `code` \(0.3, share\), `web` \(0.3, share\)$",
        ),
        (
            {"bounds": {"code": {"share": 0.8}}},
            "min_share 0.8 and max_share 0.7, one of which is its share: lower the first",
        ),
        (
            {"bounds": {"math": {"share": 0.2}}, "limits": ["2 * math >= 3"]},
            r"^no mixture satisfies `2 [*] math >= 3` .*: loosen it or leave it out$",
        ),
        (
            {"bounds": {"math": {"share": 0.22}}, "grid": 0.05},
            r"of them: `math` = 0.22 \(share\); shares in steps of 0.05: loosen",
        ),
        (
            {"bounds": {"math": {"share": 0.2}}, "limits": ["math >= 0.3"]},
            r"`math` = 0.2 \(share\); `math >= 0.3` \(≥ 0.3\)",
        ),
    ],
)
def test_a_fixed_share_that_clashes_is_called_by_its_key(keys: dict[str, Any], rule: str) -> None:
    with pytest.raises(RecipeError, match=rule):
        space(**keys)


def test_a_group_has_a_joint_share() -> None:
    found = space(groups={"text": {"domains": ["web", "math"], "min_share": 0.3, "share": None}})
    [limit] = found.limits
    assert (limit.name, limit.coefficients) == ("groups.text", (1.0, 0.0, 1.0))
    assert (limit.least, limit.most) == (0.3, 1.0)
    fixed = space(groups={"text": {"domains": ["web", "math"], "share": 0.4}}).limits[0]
    assert (fixed.least, fixed.most) == (0.4, 0.4)


def test_limits_may_name_groups() -> None:
    groups = {"text": {"domains": ["web", "math"]}}
    found = space(groups=groups, limits=["code >= 2 * text", "web <= 30%"])
    assert [limit.coefficients for limit in found.limits[1:]] == [(-2, 1, -2), (0, 0, 1)]
    assert found.limits[2].most == pytest.approx(0.3)


def test_the_cost_of_a_run_is_limited() -> None:
    cost = {"per_million_tokens": {"math": 10, "code": 4}, "max_mean": 5, "max_total": 9}
    mean, total = space(cost=cost).limits
    shares = Mixture(tuple(CAPS), (0.5, 0.25, 0.25)).array
    assert (mean.name, mean.value(shares), mean.most) == ("cost.max_mean", 6.0, 5.0)
    assert (total.name, total.value(shares), total.most) == ("cost.max_total", 12.0, 9.0)


def test_the_cost_counts_tokens_whatever_shares_count() -> None:
    """Rows of math are three times as long, so that equal rows are 3/5 of the tokens."""
    cost = {"per_million_tokens": {"math": 10.0}, "max_mean": 6.0}
    chosen = Search.model_validate({"cost": cost})
    found = chosen.space(CAPS, run_tokens=1_000_000, tokens={"math": 3.0, "code": 1.0, "web": 1.0})
    assert found.limits[0].value(Mixture(tuple(CAPS), (1 / 3, 1 / 3, 1 / 3)).array) == (
        pytest.approx(0, abs=1e-7)
    )
    assert found.limits[0].missed(Mixture(tuple(CAPS), (0.4, 0.3, 0.3)).array) > 0


def test_a_prior_is_a_mixture_and_a_weight() -> None:
    available = {"math": 100.0, "code": 300.0}
    for shares, wanted in (
        ("available", (0.25, 0.75)),
        ("uniform", (0.5, 0.5)),
        ({"math": 0.9, "code": 0.1}, (0.9, 0.1)),
    ):
        chosen = Search.model_validate({"prior": {"shares": shares, "weight": 0.2}}).prior
        assert chosen is not None
        assert chosen.prior(available).mixture.shares == wanted
        assert chosen.prior(available).weight == 0.2


@pytest.mark.parametrize(
    ("search", "match"),
    [
        ({"bounds": {"math": {"share": 0.2, "max_share": 0.5}}}, "`share` .* stands for both"),
        ({"groups": {"x": {"domains": []}}}, "`search.groups.x.domains`: .*at least 1 item"),
        (
            {"groups": {"x": {"domains": ["maths"]}}},
            "`search.groups.x.domains.maths`: not a domain",
        ),
        ({"groups": {"math": {"domains": ["code"]}}}, "`search.groups.math`: a group needs a name"),
        ({"groups": {"x y": {"domains": ["code"]}}}, "`search.groups.x y`: a group needs a name"),
        ({"groups": {"x": {"domains": ["code", "code"]}}}, "a domain stands twice"),
        ({"groups": {"x": {"domains": ["code"], "least": 1}}}, "groups.x.least`: unknown key"),
        ({"limits": ["code >= 2 * mth"]}, "`search.limits.0` .*`mth` is neither a domain nor"),
        ({"limits": ["code <= 1", "code  <= 1"]}, "`search.limits.1` .*stands twice"),
        ({"limits": "code <= 1"}, "`search.limits`: .*valid tuple"),
        ({"grid": 0.3}, "`grid` must divide 1, such as 0.05, but got 0.3"),
        ({"grid": 0}, "`search.grid`: .*greater than 0"),
        (
            {"grid": 0.1, "method": "subsets"},
            "`search.grid`: `search.method: subsets` answers with",
        ),
        ({"cost": {"per_million_tokens": {"math": 1}}}, "no effect without `max_mean` or"),
        ({"cost": {"per_million_tokens": {"x": 1}, "max_mean": 1}}, "per_million_tokens.x`: not a"),
        ({"cost": {"per_million_tokens": {"math": -1}, "max_mean": 1}}, "or equal to 0"),
        ({"prior": {"shares": "natural", "weight": 1}}, "`search.prior.shares`: .*'available'"),
        ({"prior": {"shares": "uniform"}}, "`search.prior.weight`: this key is required"),
        ({"prior": {"shares": {"math": 1.0}, "weight": 1}}, "prior must have a share of every"),
        ({"prior": {"shares": {"math": 0.5, "code": 0.6}, "weight": 1}}, "must add up to 1"),
        ({"prior": {"shares": {"maths": 1.0}, "weight": 1}}, "prior.shares.maths`: not a domain"),
        (
            {"prior": {"shares": "uniform", "weight": 1}, "method": "demix"},
            "`search.prior`: `search.method: demix` ranks mixtures without it",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(search: dict[str, Any], match: str) -> None:
    refuse(match, search=search)


def test_limits_that_clash_are_named_with_tokens_and_bounds() -> None:
    chosen = recipe(search={"limits": ["code >= 3 * math"], "bounds": {"math": {"share": 0.3}}})
    with pytest.raises(RecipeError, match=r"`math` = 0.3 \(share\); `code >= 3 [*] math`"):
        chosen.space({"math": 10**9, "code": 10**9})
    scarce = recipe(search={"limits": ["code >= 3 * math"]})
    with pytest.raises(RecipeError, match=r"`code` ≤ 0.39\d+ \(max_share or repetition\)"):
        scarce.space({"math": 10**9, "code": scarce.run_tokens // 10})


def test_without_a_run_a_total_cost_is_refused() -> None:
    cost = {"per_million_tokens": {"math": 10}, "max_total": 9}
    with pytest.raises(RecipeError, match="the tokens of a run are not known here: use"):
        SpaceLimits.model_validate({"cost": cost}).space(CAPS)
