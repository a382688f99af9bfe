from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.engine.test_local import OnStep, ignore, square

from mixwise.engine import shared_folder
from mixwise.engine.cluster import Host, ThisMachine
from mixwise.engine.local import LocalEngine
from mixwise.engine.protocol import Engine
from mixwise.engine.serial import HereEngine
from mixwise.engine.shared_folder import Mark, SharedFolder, find_unseen, leave_mark, survey_hosts
from mixwise.errors import ResourceError
from mixwise.testing import check_engine


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_folder, "_WAIT_SECONDS", 0.0)


@dataclass(frozen=True)
class Elsewhere:
    """A cluster whose one host sees another disk under the same path."""

    replaced: Path
    by: str

    @property
    def hosts(self) -> tuple[Host, ...]:
        return (Host("far", 1, 0, 10**9),)

    @property
    def is_elsewhere(self) -> bool:
        return True

    def open(self, n_workers: int, n_threads: int, n_devices: int) -> Engine:
        return HereEngine()

    def call_everywhere(
        self, function: Callable[[Any], Any], job: Any
    ) -> Sequence[tuple[str, Any]]:
        [file] = self.replaced.glob(".seen-*")
        file.write_text(self.by)
        return [("far", function(job))]


def test_the_contract_of_engines_is_kept(tmp_path: Path) -> None:
    check_engine(SharedFolder(HereEngine(), tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_seen_is_marked_as_long_as_the_engine_is_open(tmp_path: Path) -> None:
    engine = SharedFolder(HereEngine(), tmp_path / "study", [tmp_path])
    [done] = engine.run(square, [3], ignore)
    assert done.result == 9
    [mark] = (tmp_path / "study").iterdir()
    assert mark.name.startswith(".seen-")
    engine.close()
    assert not list((tmp_path / "study").iterdir())


def test_another_disk_under_the_same_path_is_found(tmp_path: Path) -> None:
    mark = leave_mark(tmp_path)
    assert find_unseen(mark) == ()
    Path(mark.file).write_text("another word")
    assert find_unseen(mark) == (str(tmp_path),)
    Path(mark.file).unlink()
    assert find_unseen(mark) == (str(tmp_path),)


def test_a_disk_that_answers_with_errors_is_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = leave_mark(tmp_path, [tmp_path])
    monkeypatch.setattr(shared_folder, "_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(shared_folder, "_LOOK_SECONDS", 0.01)

    def fail(path: object, *options: object, **more: object) -> object:
        raise OSError(errno.EIO, "Input/output error")

    for name in ("read_bytes", "stat", "iterdir"):
        monkeypatch.setattr(Path, name, fail)
    assert find_unseen(mark) == (str(tmp_path), str(tmp_path))


def test_a_folder_that_is_only_read_must_be_there(tmp_path: Path) -> None:
    assert find_unseen(leave_mark(tmp_path, [tmp_path / "base"])) == (str(tmp_path / "base"),)


def test_a_late_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_folder, "_WAIT_SECONDS", 10.0)
    mark = leave_mark(tmp_path)
    Path(mark.file).rename(tmp_path / "aside")
    monkeypatch.setattr(
        shared_folder.time, "sleep", lambda seconds: shutil.move(tmp_path / "aside", mark.file)
    )
    assert find_unseen(mark) == ()


def lose(job: Path, on_step: OnStep) -> None:
    raise AssertionError("a job must not begin where the folder is not seen")


def test_no_job_begins_where_the_folder_is_not_seen(tmp_path: Path) -> None:
    engine = SharedFolder(HereEngine(), tmp_path, [tmp_path / "cache"])
    with pytest.raises(ResourceError, match=r"does not see .*cache, which the study needs"):
        list(engine.run(lose, [tmp_path], ignore))
    engine.close()


def test_a_survey_names_the_host_that_sees_another_disk(tmp_path: Path) -> None:
    survey_hosts(ThisMachine(LocalEngine), tmp_path / "new" / "study", [tmp_path])
    assert not list(tmp_path.iterdir())
    with pytest.raises(ResourceError, match=rf"^far: does not see {tmp_path}, which"):
        survey_hosts(Elsewhere(tmp_path, "another word"), tmp_path / "study", [])
    assert not list(tmp_path.iterdir())


def test_a_mark_is_a_value_that_tells_disks_apart(tmp_path: Path) -> None:
    assert leave_mark(tmp_path) != leave_mark(tmp_path)
    assert Mark("a", "b") == Mark("a", "b")
