from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.training.jobs import ignore, make_job

from mixwise.errors import DamagedError, DataError, MixwiseWarning
from mixwise.files import hash_file, seal
from mixwise.training.finetune import finetune
from mixwise.training.job import RUN_FILE, TrainingJob, load_record, save_record
from mixwise.training.run_files import hash_run_files, open_run, require_unchanged


def with_hashes(job: TrainingJob, hashes: dict[str, str]) -> TrainingJob:
    streams = {
        name: stream.model_copy(
            update={"hashes": {stream.ids.name: hashes[name]} if name in hashes else {}}
        )
        for name, stream in job.streams.items()
    }
    return job.model_copy(update={"streams": streams})


@pytest.fixture(scope="module")
def trained(pico_base: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingJob:
    """A finished run with a checkpoint along it; do not write to its folder."""
    folder = tmp_path_factory.mktemp("trained")
    job = make_job(pico_base, folder, "run").model_copy(update={"trajectory": (6,)})
    job = with_hashes(job, {name: hash_file(s.ids) for name, s in job.streams.items()})
    finetune(job, ignore)
    return job


@pytest.fixture
def job(trained: TrainingJob, tmp_path: Path) -> TrainingJob:
    copy = Path(shutil.copytree(trained.output, tmp_path / "run"))
    return trained.model_copy(update={"output": copy})


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def test_a_record_vouches_for_all_that_a_result_may_rest_on(trained: TrainingJob) -> None:
    record = load_record(trained.output)
    assert record is not None
    assert {name.split("/")[-1] for name in record.files} >= {
        "model.safetensors",
        "second_moments.safetensors",
        "config.json",
        "tokenizer.json",
    }
    assert any(name.startswith("trajectory/") for name in record.files)
    assert record.token_hashes == trained.token_hashes
    assert open_run(trained) is not None


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "config.json",
        "second_moments.safetensors",
        "trajectory/6/model.safetensors",
    ],
)
@pytest.mark.parametrize(
    ("damage", "what"), [(flip, "is not the file that was"), (Path.unlink, "is missing, but the")]
)
def test_a_file_that_is_not_the_trained_one_is_refused_by_name(
    name: str, damage: Callable[[Path], None], what: str, job: TrainingJob
) -> None:
    damage(job.output / name)
    with pytest.raises(DamagedError, match=rf"run/{name}: {what} .*or delete the folder .*/run to"):
        open_run(job)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "model.safetensors.index.json"])
def test_a_file_that_the_run_did_not_write_is_refused(name: str, job: TrainingJob) -> None:
    (job.output / name).write_text("{}")
    with pytest.raises(DamagedError, match=rf"{name}: was not written by the run: remove it, or"):
        open_run(job)


def test_a_note_beside_the_run_is_nobodys_concern(job: TrainingJob) -> None:
    (job.output / "README.md").write_text("mine")
    assert open_run(job) is not None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b"\xff", seal({"files": {}}).encode(), seal({"a": 1}).encode()],
)
def test_a_damaged_record_is_refused_by_name(content: bytes, job: TrainingJob) -> None:
    (job.output / RUN_FILE).write_bytes(content)
    with pytest.raises(DamagedError, match=r"run\.json: is damaged \(.*\): restore it, or delete"):
        load_record(job.output)


def test_no_record_is_no_finished_run(job: TrainingJob) -> None:
    (job.output / RUN_FILE).unlink()
    assert open_run(job) is None


def test_other_settings_are_another_run(job: TrainingJob) -> None:
    assert open_run(job.model_copy(update={"fingerprint": "another"})) is None


def test_a_record_of_an_older_mixwise_is_taken_once_and_then_vouches(job: TrainingJob) -> None:
    record = load_record(job.output)
    assert record is not None
    old = record.model_dump_json(exclude={"files", "token_hashes"})
    (job.output / RUN_FILE).write_text(old)
    with pytest.warns(MixwiseWarning, match=r"run\.json: an older mixwise recorded no hashes"):
        assert open_run(job) is not None
    assert open_run(job) is not None
    flip(job.output / "model.safetensors")
    with pytest.raises(DamagedError, match="is not the file that was trained"):
        open_run(job)


def test_a_run_on_other_tokens_than_the_data_gives_is_refused(job: TrainingJob) -> None:
    other = with_hashes(job, {"alpha": "0" * 32})
    with pytest.raises(DamagedError, match="was trained on other tokens of `alpha` than its data"):
        open_run(other)


def test_tokens_that_change_while_they_are_in_use_are_not_trained_on(
    job: TrainingJob, tmp_path: Path
) -> None:
    fresh = with_hashes(job, {"beta": "0" * 32}).model_copy(update={"output": tmp_path / "fresh"})
    with pytest.raises(DataError, match=r"beta\.u32: the cached tokens of `beta` have changed"):
        finetune(fresh, ignore)
    assert load_record(fresh.output) is None


def test_the_record_comes_back_as_it_was_saved(job: TrainingJob) -> None:
    record = load_record(job.output)
    assert record is not None
    save_record(record, job.output)
    assert load_record(job.output) == record
    assert hash_run_files(job.output) == record.files
    assert require_unchanged(job.output, record) is record
