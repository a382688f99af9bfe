import numpy as np
import pytest
from tests.report.surfaces import fit

from mixwise.search.surrogates.gaussian_process import Posterior
from mixwise.study.result_files import parse_result, result_to_json
from mixwise.study.surface import SurfaceFound, processes_of

DOMAINS = ("math", "code", "web")


def evaluate(found: SurfaceFound, metric: str, shares: np.ndarray) -> float:
    """A metric from the numbers of the file alone, sum by sum."""
    [row] = [row for row in found.metrics if row.metric == metric]
    uniform = 1 / len(shares)
    total = 0.0
    for process in row.processes:
        kernel, value = process.kernel, process.mean
        places = {point: k for k, point in enumerate(process.sloped)}
        for i, point in enumerate(np.array(found.points)):
            x, other = shares - uniform, point - uniform
            u, gap = float(x @ other), x - other
            near = kernel.remainder * np.exp(-float(gap @ gap) / (2 * kernel.length**2))
            value += process.values[i] * (10 + u + kernel.curvature * u**2 / 2 + near)
            if i in places:
                beta = np.array(process.slopes[places[i]])
                slope = (1 + kernel.curvature * u) * x + near / kernel.length**2 * gap
                value += float(beta @ slope)
        if process.asymptote is not None:
            value = process.asymptote + np.exp(value)
        total += process.factor * value
    return total


@pytest.mark.parametrize("has_slopes", [True, False])
def test_the_numbers_are_the_surface(has_slopes: bool) -> None:
    surface, found = fit(DOMAINS, has_slopes=has_slopes, n_points=8)
    shares = np.array([0.2, 0.5, 0.3])
    names = [metric.name for metric in surface.problem.objective.metrics]
    wanted = dict(zip(names, surface.metrics(shares[None])[0], strict=True))
    for name in names:
        assert evaluate(found, name, shares) == pytest.approx(wanted[name], rel=1e-7)


def test_what_is_read_is_what_was_written() -> None:
    _, found = fit(DOMAINS, has_floors=True, has_groups=True)
    assert parse_result(SurfaceFound, result_to_json(found), "surface.json") == found


def test_metrics_of_the_objective_come_first() -> None:
    _, found = fit(DOMAINS)
    assert [row.metric for row in found.metrics] == [
        "math/loss",
        "code/loss",
        "quiz/accuracy",
        "web/loss",
        "quiz/bits",
    ]
    assert [row.weight for row in found.metrics] == [1, 2, 2, 0, 0]


def test_the_tightest_floor_counts() -> None:
    _, found = fit(DOMAINS, has_floors=True)
    floors = {row.metric: row.floor for row in found.metrics if row.floor is not None}
    bases = {row.metric: row.base for row in found.metrics}
    assert floors == pytest.approx(
        {"math/loss": bases["math/loss"] - 0.1, "web/loss": bases["web/loss"] + 0.05}
    )


def test_only_known_models_are_put_into_numbers() -> None:
    with pytest.raises(TypeError, match="no process is known behind str"):
        processes_of("a model")  # type: ignore[arg-type]


def test_a_value_left_out_is_what_a_fit_without_it_predicts() -> None:
    surface, _ = fit(DOMAINS, n_points=5)
    posterior = surface.models[0]
    assert isinstance(posterior, Posterior)
    shares = posterior.origin + posterior.points @ posterior.basis.T
    values = posterior.predict(shares)[0]
    predicted = posterior.left_out(values)
    assert predicted.shape == values.shape
    assert np.abs(predicted - values).max() < np.ptp(values)
