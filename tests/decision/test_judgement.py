import numpy as np
from tests.decision.tables import OBJECTIVE, SCALE, SPACE, UNIFORM, Formula, Value, peak

from mixwise.decision.calibration import Reference, correct
from mixwise.decision.judgement import Judgement, judge
from mixwise.search.methods.listed import search_listed
from mixwise.search.problem import SearchProblem
from mixwise.search.surrogates.objective_model import fit_surface

MIXTURES = [SPACE.rounded(p, 3) for p in np.random.default_rng(2).dirichlet(np.ones(3), 12)]
PROXY = peak(0.6, 0.3, 0.1)


def judged(truth: Value, n: int = 12, n_calibration: int = 0) -> Judgement:
    proxy = Formula(PROXY)
    problem = SearchProblem(proxy, SPACE, OBJECTIVE, SCALE, None, 0)
    found = search_listed(problem, [*MIXTURES, UNIFORM])
    trainer = Formula(truth, seeds=(1, 2), noise=0.01)
    pairs = zip(proxy.score(MIXTURES[:n]), trainer.runs(MIXTURES[:n]), strict=True)
    references = [Reference(*pair) for pair in pairs]
    surface = fit_surface(problem, found.scored)
    calibrated = correct(problem, found, surface, (), references)
    return judge(calibrated, references, n_calibration=n_calibration)


def test_a_right_proxy_is_trusted_and_a_wrong_one_is_not() -> None:
    right, wrong = judged(PROXY).trust, judged(peak(0.1, 0.2, 0.7)).trust
    assert right is not None
    assert wrong is not None
    assert (right.word, right.basis) == ("trust", "measured")
    assert wrong.word == "do not trust"


def test_with_calibration_the_corrected_score_is_judged() -> None:
    def lower(shares: np.ndarray) -> float:
        return PROXY(shares) - 1.5 * (1 - float((shares**2).sum()))

    plain, corrected = judged(lower).trust, judged(lower, n_calibration=2)
    assert plain is not None
    assert plain.word != "trust"  # the level is off
    assert corrected.trust is not None
    assert corrected.trust.word == "trust"
    assert corrected.fidelity is not None
    assert corrected.fidelity.n_mixtures == 12


def test_without_references_there_is_no_judgement() -> None:
    assert judged(PROXY, n=0) == Judgement(None, None)
