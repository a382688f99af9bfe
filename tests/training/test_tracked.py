from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.tracking.test_tracking_run import tracked
from tests.training.jobs import STEPS, assert_same, ignore, make_job, weights

from mixwise.engine.protocol import Stopped
from mixwise.errors import MixwiseWarning
from mixwise.tracking.run import TrackedRun
from mixwise.tracking.tool import Tool
from mixwise.tracking.tools import TOOLS
from mixwise.training.finetune import finetune


class Memory:
    """A tool that keeps all it is told of a run, by the run's id."""

    def __init__(self) -> None:
        self.points: dict[str, list[int]] = {}
        self.ends: list[bool] = []
        self.names: set[str] = set()

    def open(self, run: TrackedRun) -> Memory:
        self._now = self.points.setdefault(run.id, [])
        return self

    def log(self, series: str, values: Mapping[str, float], step: int) -> None:
        self._now.append(step)
        self.names |= {f"{series}/{name}" for name in values}

    def note(self, texts: Mapping[str, str]) -> None:
        pass

    def close(self, *, is_finished: bool) -> None:
        self.ends.append(is_finished)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    kept = Memory()
    monkeypatch.setitem(TOOLS, "mlflow", Tool("mlflow", "mlflow", kept.open))
    return kept


def test_a_tracked_run_ends_in_the_same_bytes_and_tells_each_step_once(
    pico_base: Path, tmp_path: Path, memory: Memory
) -> None:
    plain = make_job(pico_base, tmp_path, "plain")
    finetune(plain, ignore)
    job = plain.model_copy(
        update={"output": tmp_path / "told", "tracking": tracked(tmp_path, ("mlflow",))}
    )

    def stop(step: int) -> None:
        if step == 7:
            raise Stopped

    with pytest.raises(Stopped):
        finetune(job, stop)
    finetune(job, ignore)
    assert_same(weights(plain.output), weights(job.output))
    name = "model.safetensors"
    assert (plain.output / name).read_bytes() == (job.output / name).read_bytes()
    assert list(memory.points.values()) == [list(range(1, STEPS + 1))]
    assert memory.ends == [False, True]
    assert {"train/loss", "train/learning_rate"} <= memory.names


def test_a_killed_run_that_trains_steps_again_tells_them_once(
    pico_base: Path, tmp_path: Path, memory: Memory
) -> None:
    job = make_job(pico_base, tmp_path, "run").model_copy(
        update={"tracking": tracked(tmp_path, ("mlflow",))}
    )

    def die(step: int) -> None:
        if step == 8:  # snapshots stand at every third step
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(job, die)
    finetune(job, ignore)
    assert list(memory.points.values()) == [list(range(1, STEPS + 1))]


def test_a_tool_that_fails_alters_nothing(
    pico_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Frail(Memory):
        def log(self, series: str, values: Mapping[str, float], step: int) -> None:
            if step > 3:
                raise TimeoutError("no answer")

    monkeypatch.setitem(TOOLS, "mlflow", Tool("mlflow", "mlflow", Frail().open))
    plain = make_job(pico_base, tmp_path, "plain")
    finetune(plain, ignore)
    job = plain.model_copy(
        update={"output": tmp_path / "told", "tracking": tracked(tmp_path, ("mlflow",))}
    )
    with pytest.warns(MixwiseWarning, match="mlflow failed") as caught:
        finetune(job, ignore)
    assert len(caught) == 1
    assert_same(weights(plain.output), weights(job.output))
