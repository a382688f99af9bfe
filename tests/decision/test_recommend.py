import numpy as np
import pytest
from tests.decision.tables import OBJECTIVE, SCALE, SPACE, UNIFORM, Formula, peak

from mixwise.decision.calibration import Reference
from mixwise.decision.recommend import compare, recommend
from mixwise.errors import RecipeError
from mixwise.mixture import Mixture
from mixwise.observation import Observation

BEST = Mixture(SPACE.domains, (0.7, 0.2, 0.1))
CLEAR = peak(0.7, 0.2, 0.1)
FLAT = peak(0.7, 0.2, 0.1, steepness=0.05)


def grid(n: int = 10) -> list[Mixture]:
    points = [(a, b, n - a - b) for a in range(n + 1) for b in range(n + 1 - a)]
    return [Mixture(SPACE.domains, tuple(np.array(point) / n)) for point in points]


def test_a_clear_maximum_is_found_and_moved_little_towards_the_simplest() -> None:
    best = recommend(Formula(CLEAR), SPACE, OBJECTIVE, SCALE, prefer="none")
    assert best.mixture.array == pytest.approx(BEST.array, abs=0.02)
    simple = recommend(Formula(CLEAR), SPACE, OBJECTIVE, SCALE)
    assert simple.equals is not None
    assert not simple.is_anchor
    assert simple.highest.mixture == best.mixture
    towards = UNIFORM.array - best.mixture.array
    moved = simple.mixture.array - best.mixture.array
    assert moved == pytest.approx(towards * (moved @ towards) / (towards @ towards), abs=2e-3)
    assert 0 <= moved @ towards < 0.5 * (towards @ towards)


def test_where_mixtures_hardly_differ_the_simplest_wins() -> None:
    decision = recommend(Formula(FLAT), SPACE, OBJECTIVE, SCALE)
    assert decision.is_anchor
    assert decision.mixture == UNIFORM
    assert decision.equals is not None
    assert 0 < decision.equals.behind <= 1.96 * decision.equals.deviation
    anchor = Mixture(SPACE.domains, (0.2, 0.3, 0.5))
    other = recommend(Formula(FLAT), SPACE, OBJECTIVE, SCALE, prefer="available", anchor=anchor)
    assert other.mixture == anchor
    plain = recommend(Formula(FLAT), SPACE, OBJECTIVE, SCALE, prefer="none")
    assert plain.mixture.array == pytest.approx(BEST.array, abs=0.02)


def test_no_share_is_driven_to_zero_by_noise() -> None:
    """A proxy that wants none of a domain, for a gain that references cannot confirm."""
    proxy, truth = Formula(peak(0.6, 0.4, 0.0, steepness=0.3)), Formula(peak(0.4, 0.3, 0.3))
    decision = recommend(
        proxy, SPACE, OBJECTIVE, SCALE, trainer=truth, n_calibration=4, known=references(proxy)
    )
    assert min(decision.mixture.shares) > 0.1


def references(proxy: Formula, truth: Formula | None = None, n: int = 6) -> list[Reference]:
    """References that rank the mixtures otherwise than the proxy does."""
    truth = truth or Formula(peak(0.2, 0.2, 0.6), seeds=(1, 2), noise=0.02)
    chosen = grid(4)[:: 15 // n]
    runs = truth.runs(chosen)
    return [Reference(*pair) for pair in zip(proxy.score(chosen), runs, strict=True)]


def test_references_correct_the_proxy() -> None:
    """The proxy overrates mixed mixtures, as merging does; trained ones tell."""
    proxy = Formula(lambda shares: CLEAR(shares) + 0.8 * (1 - float((shares**2).sum())))
    truth = Formula(CLEAR, seeds=(1, 2), noise=0.01)
    plain = recommend(proxy, SPACE, OBJECTIVE, SCALE, prefer="none")
    n_before = truth.n
    decision = recommend(
        proxy, SPACE, OBJECTIVE, SCALE, trainer=truth, n_calibration=3, n_seeds=2, prefer="none"
    )
    assert 1 <= truth.n - n_before <= 3
    assert decision.calibrated.chosen[0].proxy.mixture == UNIFORM
    errors = [np.abs(d.mixture.array - BEST.array).max() for d in (decision, plain)]
    assert errors[0] < errors[1]
    low, high = decision.forecast.interval or (0, 0)
    assert low < CLEAR(decision.mixture.array) < high
    ranges = decision.forecast.near_optimal_shares
    assert ranges is not None
    assert all(ranges[d][0] <= s <= ranges[d][1] for d, s in decision.mixture.as_dict().items())


def test_only_candidates_are_scored_trained_and_recommended() -> None:
    candidates = grid(5)
    proxy, truth = Formula(CLEAR), Formula(CLEAR)
    decision = recommend(
        proxy,
        SPACE,
        OBJECTIVE,
        SCALE,
        trainer=truth,
        n_calibration=2,
        known=references(proxy, truth),
        candidates=candidates,
        budget=8,
    )
    assert decision.mixture in candidates
    scored = decision.calibrated.found.scored
    assert {str(o.mixture) for o in scored} <= {str(c) for c in candidates}
    assert len(scored) == 8
    outside = SPACE.domains, (0.1, 0.1, 0.1), (0.5, 0.5, 0.5)
    with pytest.raises(RecipeError, match="none of the candidates lies within the bounds"):
        recommend(
            proxy, type(SPACE)(*outside), OBJECTIVE, SCALE, candidates=[Mixture.single("abc", "a")]
        )


def test_others_stand_beside_the_recommended() -> None:
    proxy = Formula(CLEAR)
    decision = recommend(proxy, SPACE, OBJECTIVE, SCALE, prefer="none")
    others: tuple[Observation, ...] = proxy.score([UNIFORM, Mixture.single(SPACE.domains, "c")])
    compared = compare(decision, others, others[0])
    pairs = zip(compared.observations, compared.standings, strict=True)
    stand = {str(o.mixture): standing for o, standing in pairs}
    assert stand[str(decision.mixture)] == "recommended"
    assert stand[str(UNIFORM)] == stand[str(Mixture.single(SPACE.domains, "c"))] == "behind"
    assert compared.interval[0] == compared.interval[1]  # one example: nothing to resample


def test_what_would_be_passed_over_is_refused() -> None:
    proxy = Formula(CLEAR)
    with pytest.raises(RecipeError, match="`n_calibration` is 2, but there is no `trainer`"):
        recommend(proxy, SPACE, OBJECTIVE, SCALE, n_calibration=2)
    with pytest.raises(RecipeError, match="`prefer` is `available`, but there is no `anchor`"):
        recommend(proxy, SPACE, OBJECTIVE, SCALE, prefer="available")
    with pytest.raises(RecipeError, match="`prefer` is `unform`: did you mean `uniform`"):
        recommend(proxy, SPACE, OBJECTIVE, SCALE, prefer="unform")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="`slops` is not a search method: did you mean `slopes`"):
        recommend(proxy, SPACE, OBJECTIVE, SCALE, method="slops")
