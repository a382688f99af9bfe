"""A whole study that is told to TensorBoard and MLflow, by two worker processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.command_line import Cli, recommended_bytes
from tests.tracking.test_tools import scalars

RECIPE = """\
base: base
domains:
  alpha: {files: alpha.jsonl}
  beta: {files: beta.jsonl}
horizon_tokens: 1024
budget: 1
sequence_length: 16
evaluation: {max_sequences: 8, batch_sequences: 4}
training: {learning_rate: 3.0e-3, batch_sequences: 4, warmup_steps: 1, device: cpu}
calibration: {mixtures: 0}
engine: {workers: 2, threads: 1}
"""


def test_a_study_and_its_runs_are_told_and_the_answer_is_the_same(
    pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    pytest.importorskip("tensorboard")
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    (pico / "plain.yaml").write_text(RECIPE)
    (pico / "told.yaml").write_text(RECIPE + "tracking: {to: [tensorboard, mlflow]}\n")
    for name in ("plain", "told", "told"):  # the last finds all done, and tells nothing twice
        code, _, err = mixwise("run", pico / f"{name}.yaml", "--study", tmp_path / name)
        assert code == 0, err
    told = tmp_path / "told"
    assert recommended_bytes(told) == recommended_bytes(tmp_path / "plain")
    for expert in ("alpha", "beta"):
        file = f"experts/{expert}/model.safetensors"
        assert (told / file).read_bytes() == (tmp_path / "plain" / file).read_bytes()
    client = MlflowClient(tracking_uri=f"sqlite:///{told}/tracking/mlflow.db")
    experiment = client.get_experiment_by_name("mixwise")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    kinds = [run.data.tags["mixwise.kind"] for run in runs]
    assert [kinds.count(kind) for kind in ("study", "expert", "final")] == [1, 2, 1]
    n_references = len(kinds) - 3
    [study] = [run for run in runs if run.data.tags["mixwise.kind"] == "study"]
    assert study.info.status == "FINISHED"
    assert study.data.tags["report"] == str(told / "report.html")
    assert 0 < study.data.metrics["recommendation/price"] <= 1
    prices = client.get_metric_history(study.info.run_id, "recommendation/price")
    assert len({point.step for point in prices}) == len(prices)
    assert "stage/search" in study.data.tags
    history = client.get_metric_history(study.info.run_id, "proxy/objective")
    assert [point.step for point in history] == list(range(1, len(history) + 1))
    for run in runs:
        if run is not study:
            assert run.data.tags["mlflow.parentRunId"] == study.info.run_id
            losses = client.get_metric_history(run.info.run_id, "train/loss")
            assert len({point.step for point in losses}) == len(losses) > 0
    folders = sorted(folder.name for folder in told.glob("tracking/tensorboard/*"))
    assert sorted(name.partition("-")[0] for name in folders) == sorted(kinds)
    curves = scalars(told / "tracking" / "tensorboard" / "study")
    assert len(curves["proxy/objective"]) == len(history)
    assert len(curves["reference/objective"]) == n_references
