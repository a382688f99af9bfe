"""Each tool by itself, read back through its own reader."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.tracking.test_tracking_run import study_run, tracked

from mixwise.errors import MissingDependencyError
from mixwise.tracking import tools
from mixwise.tracking.tools import TOOLS, require_tools


def test_what_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "find_spec", lambda name: None)
    require_tools(())
    with pytest.raises(MissingDependencyError, match=r"wandb needs .*'mixwise\[wandb\]'"):
        require_tools(("wandb",))


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves of a folder of event files, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {
        name: [(point.step, point.value) for point in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


@pytest.mark.filterwarnings("ignore")  # the tools' own
def test_tensorboard_reads_two_parts_of_a_run_as_one(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run = tracked(tmp_path)
    for step, is_finished in ((1, False), (2, True)):
        told = TOOLS["tensorboard"].open(run)
        told.log("train", {"loss": 1 / step}, step)
        told.close(is_finished=is_finished)
    folder = tmp_path / "tensorboard" / run.folder_name
    assert scalars(folder) == {"train/loss": [(1, 1.0), (2, 0.5)]}


@pytest.mark.filterwarnings("ignore")
def test_mlflow_nests_runs_and_goes_on_with_them(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    run, parent = tracked(tmp_path), study_run(tmp_path)
    study = TOOLS["mlflow"].open(parent)
    study.note({"recommendation": "half of each", "odd(name)": "x"})
    for step, is_finished in ((1, False), (2, True)):
        told = TOOLS["mlflow"].open(run)
        told.log("train", {"loss": 1 / step}, step)
        told.close(is_finished=is_finished)
    client = MlflowClient(tracking_uri=run.mlflow_uri)
    experiment = client.get_experiment_by_name("mixes")
    assert experiment is not None
    found = {r.data.tags["mixwise.kind"]: r for r in client.search_runs([experiment.experiment_id])}
    assert set(found) == {"study", "reference"}
    child = found["reference"]
    assert child.data.tags["mlflow.parentRunId"] == found["study"].info.run_id
    assert (child.info.status, found["study"].info.status) == ("FINISHED", "RUNNING")
    assert child.data.params["share/alpha"] == "0.25"
    history = client.get_metric_history(child.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 0.5)]
    assert found["study"].data.tags["recommendation"] == "half of each"
    study.close(is_finished=True)


def in_a_process(code: str, folder: Path, **environment: str) -> str:
    """Run code where the tool finds no server; its threads and services end with it."""
    script = (
        "from pathlib import Path\nfrom tests.tracking.test_tracking_run import tracked\n"
        f"from mixwise.tracking.tools import TOOLS\nfolder = Path({str(folder)!r})\n{code}"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wandb_writes_a_run_without_a_network(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    code = (
        "import wandb\nrun = TOOLS['wandb'].open(tracked(folder))\n"
        "run.log('train', {'loss': 0.5}, 1)\nrun.note({'answer': 'half'})\n"
        "print(run._run.id, run._run.group, run._run.job_type, run._run.summary['train/loss'])\n"
        "run.close(is_finished=True)"
    )
    told = in_a_process(code, tmp_path, WANDB_MODE="offline")
    assert told.split() == ["1234-abcdef0123456789", "alps-1234", "reference", "0.5"]
    assert list(tmp_path.glob("wandb/offline-run-*/run-1234-abcdef0123456789.wandb"))


def test_trackio_writes_a_run_without_a_network(tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    code = (
        "for step in (1, 2):\n    run = TOOLS['trackio'].open(tracked(folder))\n"
        "    run.log('train', {'loss': 1 / step}, step)\n    run.close(is_finished=True)"
    )
    in_a_process(code, tmp_path, TRACKIO_DIR=str(tmp_path), HF_HUB_OFFLINE="1")
    [database] = tmp_path.glob("*.db")
    with sqlite3.connect(database) as opened:
        rows = opened.execute("SELECT step, metrics FROM metrics ORDER BY step").fetchall()
    assert [(step, json.loads(values)["train/loss"]) for step, values in rows] == [(1, 1), (2, 0.5)]
