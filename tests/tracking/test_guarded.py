from __future__ import annotations

import random
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from tests.tracking.test_tracking_run import tracked

from mixwise.errors import MixwiseWarning
from mixwise.tracking.guarded import GuardedRun
from mixwise.tracking.run import TrackedRun
from mixwise.tracking.tool import Tool
from mixwise.tracking.tools import TOOLS


class Recorder:
    """A tool that prints, draws random numbers, and fails when it is told to."""

    def __init__(self, fails_at: int = -1) -> None:
        self.points: list[tuple[str, int]] = []
        self.fails_at = fails_at

    def log(self, series: str, values: Mapping[str, float], step: int) -> None:
        print("loud")
        random.random()
        np.random.random()
        if step == self.fails_at:
            raise ConnectionError("the server is away\nfor long")
        self.points.append((series, step))

    def note(self, texts: Mapping[str, str]) -> None:
        pass

    def close(self, *, is_finished: bool) -> None:
        self.points.append(("closed", int(is_finished)))


def test_a_tool_that_fails_is_said_once_and_told_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sound, frail = Recorder(), Recorder(fails_at=2)

    def refuse(run: TrackedRun) -> Recorder:
        raise OSError("no disk")

    for name, opening in (
        ("mlflow", lambda run: sound),
        ("wandb", lambda run: frail),
        ("trackio", refuse),
    ):
        monkeypatch.setitem(TOOLS, name, Tool(name, name, opening))
    with pytest.warns(MixwiseWarning, match=r"trackio failed \(OSError: no disk\)"):
        run = GuardedRun(tracked(tmp_path, ("mlflow", "wandb", "trackio")))
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    run.log("train", {"loss": 1.0}, 1)
    with pytest.warns(MixwiseWarning, match="wandb failed .*the server is away. and is told no"):
        run.log("train", {"loss": 1.0}, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.log("train", {"loss": 1.0}, 3)
    assert run.working == ("mlflow",)
    run.close(is_finished=True)
    assert sound.points == [("train", 1), ("train", 2), ("train", 3), ("closed", 1)]
    assert frail.points == [("train", 1)]
    assert (random.random(), np.random.random()) == expected
    assert "loud" not in capsys.readouterr().out
