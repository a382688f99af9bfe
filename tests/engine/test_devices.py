import os

import pytest
import torch

from mixwise.engine.devices import choose_device, n_cores
from mixwise.errors import ResourceError


def test_the_best_device_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    has = {"cuda": False, "mps": False}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has["cuda"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: has["mps"])
    assert choose_device("auto") == "cpu"
    has["mps"] = True
    assert choose_device("auto") == "mps"
    has["cuda"] = True
    assert choose_device("auto") == "cuda"
    assert choose_device("cpu") == "cpu"


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ResourceError, match=r"`training\.device` is `cuda`, but this machine has"):
        choose_device("cuda")


def test_cores_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert n_cores() >= 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert n_cores() == 3
