from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mixwise.training import spread
from mixwise.training.spread import agree_on_stop, agreed_snapshot, complete_snapshot


@pytest.fixture
def work(tmp_path: Path) -> Path:
    for step in (9, 20, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
    return tmp_path


class Group:
    """Processes of a run, of which this is one.

    Args:
        rank: Of this one.
        others: What the others give, by rank.
    """

    def __init__(self, rank: int, others: dict[int, object]) -> None:
        self.rank, self.others = rank, others

    def get_rank(self) -> int:
        return self.rank

    def get_world_size(self) -> int:
        return len(self.others) + 1

    def all_gather_object(self, found: list[object], own: object) -> None:
        for rank in range(len(found)):
            found[rank] = self.others.get(rank, own)


def enter(monkeypatch: pytest.MonkeyPatch, group: Group) -> None:
    monkeypatch.setattr(spread, "is_spread", lambda: True)
    for name in ("get_rank", "get_world_size", "all_gather_object"):
        monkeypatch.setattr(torch.distributed, name, getattr(group, name))


def test_alone_a_process_has_its_own_way(work: Path) -> None:
    assert agreed_snapshot(work) == str(work / "checkpoint-100")
    assert agreed_snapshot(work / "checkpoint-9") is None
    complete_snapshot(work / "checkpoint-9")
    assert agree_on_stop(True, torch.device("cpu"))


def test_processes_begin_with_the_newest_snapshot_that_all_have(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(monkeypatch, Group(0, {1: {9, 20}, 2: {9, 20, 100}}))
    assert agreed_snapshot(work) == str(work / "checkpoint-20")
    enter(monkeypatch, Group(0, {1: set()}))
    assert agreed_snapshot(work) is None


def test_the_first_process_keeps_what_others_wrote_on_another_disk(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = work / "checkpoint-9"
    own, other, third = (snapshot / f"rng_state_{rank}.pth" for rank in range(3))
    own.write_bytes(b"own")
    other.write_bytes(b"on this disk")
    enter(monkeypatch, Group(0, {1: b"sent", 2: b"of rank 2"}))
    complete_snapshot(snapshot)
    assert [path.read_bytes() for path in (own, other, third)] == [
        b"own",
        b"on this disk",
        b"of rank 2",
    ]


def test_other_processes_write_nothing_of_others(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = work / "checkpoint-9"
    (snapshot / "rng_state_1.pth").write_bytes(b"own")
    enter(monkeypatch, Group(1, {0: b"first"}))
    complete_snapshot(snapshot)
    assert [path.name for path in snapshot.iterdir()] == ["rng_state_1.pth"]
