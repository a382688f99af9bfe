from __future__ import annotations

import numpy as np
import pytest
from tests.scoring.mixtures import HALF, NAMES, values

from mixwise.mixture import Mixture
from mixwise.study.session import Workspace


def test_reference_is_the_mean_of_its_seeds(workspace: Workspace) -> None:
    reference = workspace.reference([1, 2])
    [runs] = reference.runs([HALF])
    [mean] = reference.score([HALF])
    assert [run.seeds for run in runs] == [(1,), (2,)]
    assert mean.seeds == (1, 2)
    for name, value in mean.values.items():
        assert value == pytest.approx(np.mean([run.values[name] for run in runs]))


def test_corner_of_the_proxy_is_the_reference_with_the_experts_seed(workspace: Workspace) -> None:
    corner = Mixture.single(NAMES, "beta")
    [proxy] = workspace.proxy.score([corner])
    [reference] = workspace.reference([workspace.recipe.training.seed]).score([corner])
    assert values(proxy) == values(reference)
