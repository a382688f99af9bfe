from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from mixwise.study.folder import StudyFolder
from mixwise.study.leftovers import remove_leftovers


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    for run in ("experts/done", "experts/open", "references/0123"):
        (tmp_path / run / ".training" / "checkpoint-3").mkdir(parents=True)
        folder = tmp_path / run
        folder.with_name(f".{folder.name}.lock").touch()
    for run in ("experts/done", "references/0123"):
        (tmp_path / run / "run.json").touch()
    (tmp_path / "heldout").mkdir()
    for name in (".search.json.partial", "heldout/.a.partial.npy", "search.json", ".lock"):
        (tmp_path / name).touch()
    return StudyFolder(tmp_path, tmp_path)


def names(study: StudyFolder) -> set[str]:
    return {str(path.relative_to(study.folder)) for path in study.folder.rglob("*")}


def test_what_nobody_can_go_on_from_is_removed_and_nothing_else(study: StudyFolder) -> None:
    before = names(study)
    remove_leftovers(study)
    gone = before - names(study)
    finished = ("experts/done", "references/0123")
    assert gone == {
        ".search.json.partial",
        "heldout/.a.partial.npy",
        "experts/.done.lock",
        "references/.0123.lock",
        *(f"{run}/.training" for run in finished),
        *(f"{run}/.training/checkpoint-3" for run in finished),
    }
    remove_leftovers(study)


def test_a_run_that_somebody_holds_is_left_alone(study: StudyFolder) -> None:
    with (study.folder / "experts" / ".done.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_leftovers(study)
    assert (study.folder / "experts" / "done" / ".training").is_dir()
    assert (study.folder / "experts" / ".done.lock").is_file()
