from __future__ import annotations

import numpy as np
import pytest
from tests.scoring.mixtures import HALF, NAMES, values

from mixwise.mixture import Mixture
from mixwise.progress import Progress
from mixwise.study.session import Workspace


def test_reference_is_the_mean_of_its_seeds(workspace: Workspace) -> None:
    reference = workspace.reference([1, 2])
    [runs] = reference.runs([HALF])
    [mean] = reference.score([HALF])
    assert [run.seeds for run in runs] == [(1,), (2,)]
    assert mean.seeds == (1, 2)
    for name, value in mean.values.items():
        assert value == pytest.approx(np.mean([run.values[name] for run in runs]))


def test_progress_counts_the_runs_that_are_there_too(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Mixture(NAMES, (0.25, 0.75, 0))
    n_steps = workspace.recipe.n_steps
    workspace.reference([1]).runs([other])
    told: list[Progress] = []
    monkeypatch.setattr(workspace, "on_progress", told.append)
    workspace.reference([1, 2]).runs([other])
    training = [report for report in told if report.task == "training"]
    assert [report.done for report in training[:2]] == [n_steps, n_steps + 1]
    assert training[0].note.startswith("1 of 2 runs done")
    assert training[-1].is_done
    assert {report.total for report in training} == {2 * n_steps}


def test_corner_of_the_proxy_is_the_reference_with_the_experts_seed(workspace: Workspace) -> None:
    corner = Mixture.single(NAMES, "beta")
    [proxy] = workspace.proxy.score([corner])
    [reference] = workspace.reference([workspace.recipe.training.seed]).score([corner])
    assert values(proxy) == values(reference)
