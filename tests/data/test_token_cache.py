import fcntl
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.data.corpora import TEXTS, ByteTokenizer, prepare, sides

from mixwise.errors import MixwiseWarning, ResourceError


class BrokenTokenizer(ByteTokenizer):
    """Dies after some texts."""

    def encode(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[int]]]:
        for i, encoded in enumerate(super().encode(texts)):
            if i == 3:
                raise KeyboardInterrupt
            yield encoded


def test_a_run_that_dies_leaves_nothing_that_is_taken_for_whole(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        prepare(folder, BrokenTokenizer())
    assert list((folder / "cache").iterdir()) == []
    assert sorted(itertools.chain(*sides(prepare(folder)))) == sorted(TEXTS)


def test_the_partial_folder_of_a_killed_process_is_ignored(folder: Path) -> None:
    partial = folder / "cache" / ".partial-killed"
    partial.mkdir(parents=True)
    (partial / "train.u32").write_bytes(b"half")
    assert prepare(folder).facts.n_documents == 20


def test_a_cache_folder_without_its_last_file_is_made_again(folder: Path) -> None:
    first = prepare(folder)
    (first.folder / "facts.json").unlink()
    (first.folder / "train.u32").write_bytes(b"half")
    with pytest.warns(MixwiseWarning, match=r"facts\.json: is missing: the tokens of `math` are"):
        again = prepare(folder)
    assert again == first
    assert len(sides(again)[0]) == 16


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


def write_junk(path: Path) -> None:
    path.write_text("[]")


FILES = ["facts.json", "train.u32", "heldout.u32", "heldout_bytes.u32", "train_hashes.npy"]


@pytest.mark.parametrize("damage", [flip, truncate, write_junk, Path.unlink])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_cache_is_made_anew_and_said(
    name: str, damage: Callable[[Path], None], folder: Path
) -> None:
    first = prepare(folder)
    whole = {path.name: path.read_bytes() for path in first.folder.iterdir() if path.suffix != ""}
    damage(first.folder / name)
    with pytest.warns(MixwiseWarning, match=rf"{name}: is .*: the tokens of `math` are made anew"):
        again = prepare(folder)
    assert again == first
    assert {path.name: path.read_bytes() for path in again.folder.glob("*.*")} == whole


def test_leftovers_of_killed_processes_go_and_those_of_others_stay(folder: Path) -> None:
    for name in ("dead", "alive"):
        (folder / "cache" / f".partial-{name}").mkdir(parents=True)
    descriptor = os.open(folder / "cache" / ".partial-alive", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    prepare(folder)
    os.close(descriptor)
    assert [path.name for path in (folder / "cache").glob(".partial-*")] == [".partial-alive"]


def test_a_process_that_was_faster_is_no_error(folder: Path) -> None:
    class Slow(ByteTokenizer):
        def encode(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[int]]]:
            prepare(folder, ByteTokenizer())
            return super().encode(texts)

    assert prepare(folder, Slow()) == prepare(folder)
    assert len(list((folder / "cache").iterdir())) == 1


def test_a_process_that_was_faster_by_a_hair_is_no_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prepare(folder)
    kept = shutil.copytree(whole.folder, folder / "kept")
    shutil.rmtree(whole.folder)
    replace = Path.replace

    def beaten(source: Path, target: Path) -> Path:
        if source.name.startswith(".partial-"):
            shutil.copytree(kept, target)
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", beaten)
    assert prepare(folder) == whole


def test_a_cache_that_cannot_be_written_names_the_setting(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(
        ResourceError, match=r"the token cache: .*cannot be written .*MIXWISE_CACHE"
    ):
        prepare(folder, cache=folder / "file")
