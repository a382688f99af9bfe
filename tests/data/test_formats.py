import bz2
import gzip
import lzma
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from mixwise.data import formats
from mixwise.data.formats import format_of, read_lines
from mixwise.errors import DataError, MissingDependencyError


def compress_zstandard(content: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(content, asbytes=True))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": compress_zstandard,
}


def refuse(rule: str, path: Path) -> None:
    with pytest.raises(DataError, match=rule):
        list(read_lines(path))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jsonl", "jsonl"),
        ("a.jl.zst", "jsonl"),
        ("A.JSONLINES.GZ", "jsonl"),
        ("a.json", "json"),
        ("a.csv.bz2", "csv"),
        ("a.tsv", "tsv"),
        ("a.pq", "parquet"),
        ("data-00000-of-00001.arrow", "arrow"),
        ("a.feather", "arrow"),
        ("a.md", "text"),
    ],
)
def test_the_name_tells_the_format(name: str, kind: str) -> None:
    assert format_of(Path(name)) == kind


@pytest.mark.parametrize(
    "name", ["a.jsonl.1", "part-00000", "a.py", "a.orc", "a.jsonl.zip", "a.gz", "jsonl"]
)
def test_a_name_that_is_not_known_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(DataError, match=r"no suffix of a data file .*: rename .*`format: text`"):
        format_of(Path(name))
    assert format_of(Path(name), "text") == "text"


@pytest.mark.parametrize(("name", "kind"), [("a.parquet.gz", "Parquet"), ("a.arrow.gz", "Arrow")])
def test_columnar_files_within_gzip_are_refused(name: str, kind: str) -> None:
    with pytest.raises(DataError, match=rf"{kind} is compressed inside, so `\.gz` around it"):
        format_of(Path(name))


@pytest.mark.parametrize("suffix", PACKERS)
def test_compressed_files_of_several_members_read_alike(tmp_path: Path, suffix: str) -> None:
    pack = PACKERS[suffix]
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(pack(b"one\ntwo\n") + pack(b"three\n"))
    assert list(read_lines(path)) == [(1, "one\n"), (2, "two\n"), (3, "three\n")]


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("damage", ["truncated", "plain"])
def test_a_damaged_compressed_file_is_named(tmp_path: Path, suffix: str, damage: str) -> None:
    packed = PACKERS[suffix]("\n".join(str(i * 7919) for i in range(5000)).encode())
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(packed[:-20] if damage == "truncated" else b"plain text\n")
    refuse(r"a\.txt\.\w+: cannot be read after line \d+ \(.+\): replace", path)


def test_zstandard_without_a_library_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt.zst"
    path.write_bytes(compress_zstandard(b"a\n"))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'mixwise\[parquet\]'"):
        list(read_lines(path))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (gzip.compress(b"a\n", mtime=0), "gzip: end its name in"),
        (bz2.compress(b"a\n"), "bzip2"),
        (lzma.compress(b"a\n"), "xz"),
        (compress_zstandard(b"a\n"), "Zstandard"),
        (b"PAR1\x15", "Parquet"),
        (b"PK\x03\x04", "a zip archive"),
        (b"%PDF-1.7\n", "PDF"),
        ("\ufeffa\n".encode("utf-16-le"), "UTF-16"),
    ],
)
def test_content_that_denies_the_name_is_told(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    refuse(rf"a\.txt: its name says text, but its content is {kind}", path)


def test_a_nul_byte_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\nb\x00\n")
    refuse(r"a\.txt:2: holds a NUL byte", path)


def test_a_line_without_end_is_refused_before_it_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "LONGEST_LINE", 1000)
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"a\n" + b"b" * 1001))
    refuse(r"a\.txt\.gz:2: a line of more than 1,000 bytes: split it", path)
