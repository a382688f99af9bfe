from __future__ import annotations

from pathlib import Path

from tests.training.jobs import make_job

from mixwise.engine.storage.engine import Output
from mixwise.engine.storage.state import Written
from mixwise.training.job import RunRecord, save_record
from mixwise.training.travel import output_of, written_in


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_training_run_writes_and_another_job_only_answers(
    pico_base: Path, tmp_path: Path
) -> None:
    job = make_job(pico_base, tmp_path, "run")
    assert output_of(job) == Output(tmp_path / "run", job.fingerprint)
    assert output_of("an evaluation") is None


def test_of_a_run_that_lasts_the_newest_whole_snapshot_counts(tmp_path: Path) -> None:
    assert written_in(tmp_path / "run") is None
    run = tmp_path / "run"
    touch(run, ".training/fingerprint", ".training/checkpoint-12/model", "trajectory/.6/half")
    assert written_in(run) is None
    touch(run, ".training/checkpoint-9/model", ".training/checkpoint-9/COMPLETE", "trajectory/3/w")
    touch(run, ".training/checkpoint-10/model", ".training/checkpoint-10/COMPLETE")
    assert written_in(run) == Written(
        10,
        False,
        (
            ".training/fingerprint",
            "trajectory/3/w",
            ".training/checkpoint-10/model",
            ".training/checkpoint-10/COMPLETE",
        ),
    )


def test_of_a_finished_run_all_but_hidden_files_count_and_the_record_comes_last(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "a.json", "zz.safetensors", "trajectory/3/w", ".training/checkpoint-9/COMPLETE")
    record = RunRecord(
        fingerprint="f",
        shares={"a": 1.0},
        seed=0,
        n_tokens=1,
        n_steps=5,
        repetitions={},
        losses={},
        seconds=0.0,
        versions={},
    )
    save_record(record, tmp_path)
    files = ("a.json", "trajectory/3/w", "zz.safetensors", "run.json")
    assert written_in(tmp_path) == Written(5, True, files)
