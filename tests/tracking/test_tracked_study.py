from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.tracking.test_tools import scalars

from mixwise.errors import MixwiseWarning
from mixwise.mixture import Mixture
from mixwise.observation import Measurement, Observation
from mixwise.recipe.tracking import Tracking
from mixwise.tracking.study import TrackedStudy

pytest.importorskip("tensorboard")
pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")


def observation(name: str, loss: float) -> Observation:
    return Observation(
        mixture=Mixture.uniform(("a", "b")),
        answer="proxy",
        rule="",
        seeds=(),
        measurements=(Measurement("a/loss", np.array([loss]), np.ones(1)),),
        seconds=0.0,
        tokens_trained=0,
        tokens_evaluated=1,
        fingerprint=name,
        provenance={},
    )


def opened(folder: Path, *to: str) -> TrackedStudy:
    return TrackedStudy(Tracking.model_validate({"to": to}), folder, folder, {})


def test_each_observation_is_told_once_also_after_a_restart(tmp_path: Path) -> None:
    for names in (("x", "y"), ("x", "y", "z")):
        study = opened(tmp_path, "tensorboard")
        study.begin()
        for k, name in enumerate(names):
            study.observe(observation(name, float(k)), [0.5, 0.2, 0.7][k])
        study.close()
    curves = scalars(tmp_path / "tracking" / "tensorboard" / "study")
    objectives = [(1, 0.5), (2, 0.2), (3, 0.7)]
    assert [(s, round(v, 6)) for s, v in curves["proxy/objective"]] == objectives
    best = [round(v, 6) for _, v in curves["proxy/best objective"]]
    assert best == [0.5, 0.5, 0.7]
    assert curves["proxy/a/loss"] == [(1, 0.0), (2, 1.0), (3, 2.0)]
    assert {value for _, value in curves["proxy/share/a"]} == {0.5}


def test_nothing_is_written_without_tools_or_before_it_begins(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.stage("search", None)
    study.observe(observation("x", 1.0), 1.0)
    study.conclude({"price": 1.0}, {})
    mixture = Mixture.uniform(("a", "b"))
    assert study.run_of("reference", "k", mixture, 1) is None
    assert opened(tmp_path, "tensorboard").run_of("reference", "k", mixture, 1) is None
    study.close()
    assert not list(tmp_path.iterdir())


def test_runs_know_their_study(tmp_path: Path) -> None:
    study = opened(tmp_path, "tensorboard")
    study.stage("experts", None)
    run = study.run_of("expert", "k", Mixture.single(("a", "b"), "b"), 1)
    assert run is not None
    assert (run.domain, run.study, run.id) == ("b", tmp_path.name, f"{run.study_id}-k")
    study.close()
    again = opened(tmp_path, "tensorboard")
    again.begin()
    assert again.run_of("expert", "k", Mixture.single(("a", "b"), "b"), 1) == run
    again.close()


def test_files_that_cannot_be_had_end_the_tracking_alone(tmp_path: Path) -> None:
    (tmp_path / "tracking").write_text("in the way")
    study = opened(tmp_path, "tensorboard")
    with pytest.warns(MixwiseWarning, match="tracking: cannot be read or written .*results are"):
        study.begin()
    study.stage("search", None)
    study.observe(observation("x", 1.0), 1.0)
    study.close()
