import numpy as np
import pytest

from mixwise.errors import EvaluationError
from mixwise.mixture import Mixture
from mixwise.observation import Measurement, Observation, average_over_seeds

MIXTURE = Mixture(("a", "b"), (0.25, 0.75))


def run(seed: int, *examples: float) -> Observation:
    measurement = Measurement("a/loss", np.array(examples), np.array([3.0, 1.0]))
    return Observation(
        MIXTURE, "reference", "", (seed,), (measurement,), 2.0, 100, 10, f"f{seed}", {"k": "v"}
    )


def test_the_value_is_the_weighted_mean_of_the_examples() -> None:
    assert run(0, 1.0, 5.0).values == {"a/loss": 2.0}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_not_finite_is_no_measurement(bad: float) -> None:
    with pytest.raises(
        EvaluationError, match=r"`a/loss` must be finite .* 1 of 2 are not: training has"
    ):
        Measurement("a/loss", np.array([1.0, bad]), np.ones(2))


def test_no_examples_are_no_measurement() -> None:
    with pytest.raises(EvaluationError, match=r"0 of 0 are not: .* the set is empty"):
        Measurement("a/loss", np.empty(0), np.empty(0))


def test_a_measurement_is_found_by_its_metric() -> None:
    assert run(0, 1.0, 5.0).measurement("a/loss").examples.tolist() == [1.0, 5.0]


def test_seeds_are_averaged_example_by_example_and_costs_are_added() -> None:
    both = average_over_seeds([run(0, 1.0, 5.0), run(1, 3.0, 9.0)])
    assert both.measurement("a/loss").examples.tolist() == [2.0, 7.0]
    assert both.values == {"a/loss": 3.25}
    assert both.seeds == (0, 1)
    assert (both.seconds, both.tokens_trained, both.tokens_evaluated) == (4.0, 200, 20)
    assert (both.mixture, both.answer, both.provenance) == (MIXTURE, "reference", {"k": "v"})


def test_the_average_of_one_run_is_that_run() -> None:
    one = average_over_seeds([run(7, 1.0, 5.0)])
    assert (one.seeds, one.fingerprint, one.values) == ((7,), "f7", {"a/loss": 2.0})


def test_the_average_has_a_fingerprint_of_all_its_runs() -> None:
    fingerprints = {
        average_over_seeds([run(seed, 1.0, 1.0) for seed in seeds]).fingerprint
        for seeds in ((0,), (0, 1), (0, 2))
    }
    assert len(fingerprints) == 3
