from collections.abc import Sequence

import numpy as np
import pytest

from mixwise.errors import RecipeError
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Metric, Objective, Scale, Term
from mixwise.observation import Derivatives, Measurement, Observation
from mixwise.scorer import VALUES, Request
from mixwise.search.methods.newton import TaylorModel, search_newton
from mixwise.search.problem import SearchProblem

Array = np.ndarray
LOSS = Metric("x", "loss", "min")
SPACE = MixtureSpace.whole("abc")
BEND = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 3.0]])


class Bowl:
    """A quadratic loss, with as many derivatives as it is asked for, up to its own most."""

    def __init__(self, top: Array, most: int = 2) -> None:
        self.top, self.most = top, most

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        return tuple(self._observe(m, min(request.order, self.most)) for m in mixtures)

    def _observe(self, mixture: Mixture, order: int) -> Observation:
        away = mixture.array - self.top
        found = Derivatives(BEND @ away, BEND if order == 2 else None) if order else None
        row = Measurement("x/loss", np.array([1 + away @ BEND @ away / 2]), np.ones(1), found)
        return Observation(mixture, "proxy", "linear", (), (row,), 0, 0, 0, str(mixture))


def problem(scorer: Bowl) -> SearchProblem:
    scale = Scale({"x/loss": 2.0}, {"x/loss": 1.0})
    return SearchProblem(scorer, SPACE, Objective((Term(LOSS, 1.0),)), scale, None, 0)


def test_one_step_from_the_centre_is_enough_for_a_quadratic() -> None:
    found = search_newton(problem(Bowl(np.array([0.5, 0.3, 0.2]))))
    assert found.best.mixture is not None
    assert found.best.mixture.shares == pytest.approx((0.5, 0.3, 0.2), abs=1e-3)
    assert len(found.scored) == 2


def test_an_optimum_beyond_a_face_ends_on_the_face() -> None:
    found = search_newton(problem(Bowl(np.array([0.9, 0.4, -0.3]))))
    assert found.best.mixture is not None
    assert found.best.mixture.shares[2] == 0


@pytest.mark.parametrize("most", [0, 1])
def test_a_metric_without_its_hessian_is_refused(most: int) -> None:
    with pytest.raises(RecipeError, match="`x/loss` comes without: use the method `slopes`"):
        search_newton(problem(Bowl(np.full(3, 1 / 3), most)))


def test_the_expansion_worked_by_hand() -> None:
    model = TaylorModel(np.array([0.5, 0.5]), 1.0, np.array([1.0, 0.0]), np.diag([2.0, 4.0]))
    values, slopes = model.predict(np.array([[1.0, 0.0]]))
    assert values == pytest.approx([1 + 0.5 + (2 * 0.25 + 4 * 0.25) / 2])
    assert slopes == pytest.approx(np.array([[2.0, -2.0]]))
    assert model.deviation(np.zeros((3, 2))) == pytest.approx(np.zeros(3))
