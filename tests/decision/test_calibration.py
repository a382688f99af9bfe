import numpy as np
from tests.decision.tables import OBJECTIVE, SCALE, SPACE, UNIFORM, Formula, peak

from mixwise.decision.calibration import Reference, correct, each_mixture_once, train_in_turn
from mixwise.decision.discrepancy import Trained
from mixwise.mixture import Mixture
from mixwise.search.methods.listed import search_listed
from mixwise.search.problem import SearchProblem
from mixwise.search.surrogates.objective_model import fit_surface

POOL = [Mixture(SPACE.domains, s) for s in ((0.6, 0.3, 0.1), (0.1, 0.1, 0.8), (0.4, 0.4, 0.2))]


def test_runs_of_one_mixture_are_one_reference_and_a_seed_counts_once() -> None:
    shares = np.array([0.5, 0.5])
    first = Trained(shares, 1.0, np.array([1.1]), (1,))
    second = Trained(shares, 1.0, np.array([1.1, 0.5]), (1, 2))
    [joined] = each_mixture_once([first, second])
    assert joined.seeds == (1, 2)
    assert joined.references.tolist() == [1.1, 0.5]


def test_the_centre_comes_first_then_what_is_worth_it_each_once() -> None:
    proxy = Formula(peak(0.6, 0.3, 0.1, steepness=0.1))
    truth = Formula(peak(0.1, 0.1, 0.8, steepness=0.1), noise=0.05)
    problem = SearchProblem(proxy, SPACE, OBJECTIVE, SCALE, None, 0)
    found = search_listed(problem, [UNIFORM, *POOL])
    surface = fit_surface(problem, found.scored)
    chosen = train_in_turn(problem, POOL, surface, truth, n_mixtures=5, n_seeds=1, least_gain=0.0)
    assert chosen[0].proxy.mixture == UNIFORM
    assert chosen[0].expected_gain is None
    later = [str(reference.proxy.mixture) for reference in chosen[1:]]
    assert len(later) == len(set(later)) >= 1
    assert set(later) <= {str(mixture) for mixture in POOL}
    known = [Reference(proxy.score([UNIFORM])[0], truth.runs([UNIFORM])[0])]
    [other, *_] = train_in_turn(
        problem, POOL, surface, truth, n_mixtures=1, n_seeds=1, known=known, least_gain=0.0
    )
    assert other.proxy.mixture != UNIFORM
    calibrated = correct(problem, found, surface, chosen, known)
    assert len(calibrated.trained) == len(chosen)
