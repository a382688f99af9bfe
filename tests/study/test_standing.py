from pathlib import Path

from mixwise.progress import Progress, Stage
from mixwise.study.standing import STANDING_FILE, Standing, StandingWriter, Work, read_standing


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make(folder: Path) -> tuple[StandingWriter, Clock, list[Progress], list[Stage]]:
    clock, reports, stages = Clock(), list[Progress](), list[Stage]()
    return StandingWriter(folder, reports.append, stages.append, clock), clock, reports, stages


def test_what_goes_on_is_read_by_another(tmp_path: Path) -> None:
    told, clock, reports, stages = make(tmp_path)
    told.take_stage(Stage("search", 2, 5))
    first = Progress("scoring", 0, 12, "candidates", "", is_ceiling=True)
    later = Progress("scoring", 4, 12, "candidates", "best so far 1.250", is_ceiling=True)
    told.take(first)
    clock.now += 10
    told.take(later)
    work = Work("scoring", 4, 12, "candidates", "best so far 1.250", True, 20.0)
    assert read_standing(tmp_path) == Standing("search", 2, 5, (work,))
    assert reports == [first, later]
    assert stages == [Stage("search", 2, 5)]


def test_it_is_written_every_two_seconds_at_most(tmp_path: Path) -> None:
    told, clock, _, _ = make(tmp_path)
    told.take(Progress("training", 1, 9))
    clock.now += 1.5
    told.take(Progress("training", 2, 9))
    found = read_standing(tmp_path)
    assert found is not None
    assert [work.done for work in found.work] == [1]
    clock.now += 0.5
    told.take(Progress("training", 3, 9))
    found = read_standing(tmp_path)
    assert found is not None
    assert [work.done for work in found.work] == [3]


def test_work_that_is_done_is_left_out(tmp_path: Path) -> None:
    told, clock, _, _ = make(tmp_path)
    told.take(Progress("training", 1, 2))
    clock.now += 5
    told.take(Progress("training", 2, 2))
    assert read_standing(tmp_path) == Standing("", 1, 1, ())


def test_the_file_is_gone_at_the_end_and_anothers_stays(tmp_path: Path) -> None:
    told, _, _, _ = make(tmp_path)
    told.take(Progress("training", 1, 2))
    refused, _, _, _ = make(tmp_path)
    refused.close()
    assert (tmp_path / STANDING_FILE).is_file()
    told.close()
    assert not (tmp_path / STANDING_FILE).exists()
    assert read_standing(tmp_path) is None


def test_a_folder_that_cannot_be_written_stops_no_work(tmp_path: Path) -> None:
    told, _, reports, _ = make(tmp_path / "none")
    told.take(Progress("training", 1, 2))
    told.close()
    assert len(reports) == 1


def test_a_damaged_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / STANDING_FILE).write_text('{"stage": 1')
    assert read_standing(tmp_path) is None
