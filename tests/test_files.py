import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixwise.errors import DamagedError, DataError
from mixwise.files import HashMemo, hash_file, load_sealed, parse_sealed, seal

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
CONTENT = {"größe": [1, 2.5, None], "shares": {"b": 0.1, "a": 0.9}, "ok": True}
DAY = 24 * 3600


class Clock:
    """A clock that a test sets; it begins an hour after the files were written."""

    def __init__(self, file: Path) -> None:
        self.now = file.stat().st_ctime + 3600

    def __call__(self) -> float:
        return self.now


@given(st.dictionaries(st.text().filter(lambda key: key != "content_hash"), JSON))
def test_what_was_sealed_comes_back(content: dict[str, Any]) -> None:
    assert parse_sealed(seal(content), "it", "mend it") == content


def test_every_flipped_bit_of_a_sealed_text_is_found_or_changes_nothing() -> None:
    whole = seal(CONTENT).encode()
    found = 0
    for k in range(8 * len(whole)):
        text = bytearray(whole)
        text[k // 8] ^= 1 << k % 8
        try:
            assert parse_sealed(bytes(text), "it", "mend it") == CONTENT
        except DamagedError:
            found += 1
    assert found > 0.99 * 8 * len(whole)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not readable JSON"),
        ("[]", "must hold an object, but holds list"),
        ("{}", "has no `content_hash`"),
        (json.dumps(CONTENT), "has no `content_hash`"),
        (seal(CONTENT).replace("0.9", "0.8"), "not what was written"),
        ("[" * 100_000, "not readable JSON"),
        (b"\xff\xfe", "not readable JSON"),
    ],
)
def test_a_text_that_was_not_sealed_so_is_refused(text: str | bytes, reason: str) -> None:
    with pytest.raises(DamagedError, match=rf"it: is damaged \(.*{reason}.*\): mend it"):
        parse_sealed(text, "it", "mend it")


def test_the_order_of_keys_counts_for_it_is_the_order_of_the_domains() -> None:
    sealed = json.loads(seal(CONTENT))
    sealed["shares"] = dict(reversed(sealed["shares"].items()))
    with pytest.raises(DamagedError, match="not what was written"):
        parse_sealed(json.dumps(sealed), "it", "mend it")


def test_a_missing_file_is_no_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.json"):
        load_sealed(tmp_path / "no.json", "mend it")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    return path


def counting(calls: list[Path]) -> Any:
    def count(path: Path) -> str:
        calls.append(path)
        return hash_file(path)

    return count


def test_an_unchanged_file_is_read_once_a_day(file: Path, tmp_path: Path) -> None:
    calls: list[Path] = []
    clock = Clock(file)
    first = HashMemo(tmp_path / "memo", hash_file=counting(calls), clock=clock)
    expected = hash_file(file)
    assert [first(file) for _ in range(3)] == [expected] * 3
    again = HashMemo(tmp_path / "memo", hash_file=counting(calls), clock=clock)
    assert again(file) == expected
    assert len(calls) == 1
    clock.now += DAY - 1
    assert again(file) == expected
    assert len(calls) == 1
    clock.now += 2
    assert again(file) == expected
    assert len(calls) == 2


def test_a_changed_file_is_read_again_even_if_its_time_is_set_back(
    file: Path, tmp_path: Path
) -> None:
    memo = HashMemo(tmp_path / "memo", clock=Clock(file))
    before, times = memo(file), file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert memo(file) != before
    file.write_bytes(b"one")
    assert memo(file) == before


def test_a_file_that_was_just_written_is_not_remembered(file: Path, tmp_path: Path) -> None:
    calls: list[Path] = []
    clock = Clock(file)
    clock.now -= 3600
    memo = HashMemo(tmp_path / "memo", hash_file=counting(calls), clock=clock)
    memo(file)
    memo(file)
    assert len(calls) == 2


@pytest.mark.parametrize("junk", [b"", b"[]", b"{}", b"\xff", b'{"a": [1]}'])
def test_a_damaged_memo_is_no_witness(file: Path, tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "memo").write_bytes(junk)
    assert HashMemo(tmp_path / "memo", clock=Clock(file))(file) == hash_file(file)


def test_an_edited_memo_is_no_witness(file: Path, tmp_path: Path) -> None:
    right = HashMemo(tmp_path / "memo", clock=Clock(file))(file)
    memo = tmp_path / "memo"
    memo.write_text(memo.read_text().replace(right, "0" * 32))
    assert HashMemo(memo, clock=Clock(file))(file) == right


def test_two_memos_of_one_file_keep_what_both_have_found(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"more")
    calls: list[Path] = []
    one, two = (HashMemo(tmp_path / "memo", clock=Clock(other)) for _ in range(2))
    one(file)
    two(other)
    third = HashMemo(tmp_path / "memo", hash_file=counting(calls), clock=Clock(other))
    third(file)
    third(other)
    assert calls == []


def test_a_memo_that_cannot_be_written_hashes_every_time(file: Path, tmp_path: Path) -> None:
    assert HashMemo(tmp_path / "no" / "memo", clock=Clock(file))(file) == hash_file(file)


def test_a_missing_file_has_no_hash(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing: cannot be read \(No such file"):
        HashMemo(tmp_path / "memo")(tmp_path / "missing")
