from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel

from mixwise.engine.storage.paths import pack, unpack


class Inner(BaseModel):
    files: dict[str, Path]
    words: str


@dataclass(frozen=True, slots=True)
class Outer:
    folder: Path
    inner: Inner
    more: tuple[Path | None, ...] = ()


def test_every_path_of_a_job_is_found_once_and_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = Outer(
        Path("/a"), Inner(files={"x": Path("/a/b")}, words="/a"), (None, Path("c"), Path("/a"))
    )
    packed = pack(job)
    assert packed.paths == ("/a", "/a/b", str(tmp_path / "c"))
    moved = unpack(packed, lambda path: Path("/host") / path.relative_to("/"))
    assert moved == Outer(
        Path("/host/a"),
        Inner(files={"x": Path("/host/a/b")}, words="/a"),
        (None, Path(f"/host{tmp_path}/c"), Path("/host/a")),
    )


def test_a_job_without_paths_stays_as_it_is() -> None:
    assert pack(7).paths == ()
    assert unpack(pack({"a": [1]}), lambda path: path) == {"a": [1]}
