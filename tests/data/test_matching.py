import os
import re
from pathlib import Path

import pytest

from mixwise.data.matching import match_files, resolve_files, warn_of_left_out
from mixwise.errors import DataError, MixwiseWarning
from mixwise.recipe import TextSource


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def resolve(folder: Path, *patterns: str, wanted: str = "auto") -> list[str]:
    found = resolve_files(patterns, folder, "k", wanted)
    return [path.relative_to(folder).as_posix() for path in found]


def refuse(rule: str, folder: Path, *patterns: str, wanted: str = "auto") -> None:
    with pytest.raises(DataError, match=rule):
        resolve(folder, *patterns, wanted=wanted)


@pytest.mark.parametrize("pattern", ["*", "d/*", "d", "**"])
def test_a_bare_pattern_or_a_folder_takes_data_files_only(tmp_path: Path, pattern: str) -> None:
    folder = tmp_path if pattern == "*" else tmp_path / "d"
    others = ("README.md", "notes.md", "LICENSE", "_SUCCESS", "a.jsonl.crc", "dataset_infos.json")
    touch(folder, "a.jsonl", "b.jsonl", ".hidden.jsonl", *others)
    (folder / "c.jsonl").touch()
    found = match_files([pattern], tmp_path, "k")
    assert [path.name for path in found.files] == ["a.jsonl", "b.jsonl"]
    assert len(found.left_out) == len(others) + 1


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    touch(tmp_path, "a.jsonl", "README.md")
    source = TextSource(files=("*",))
    rule = r"`domains\.a\.files`: 1 matching file.* no data .*README\.md: documentation"
    with pytest.warns(MixwiseWarning, match=rule):
        warn_of_left_out(source, tmp_path, "domains.a")


def test_a_pattern_with_a_suffix_takes_what_it_names(tmp_path: Path) -> None:
    touch(tmp_path, "a.jsonl", "README.md", "notes.md")
    assert resolve(tmp_path, "*.md") == ["README.md", "notes.md"]


def test_files_of_unknown_suffixes_alone_name_the_remedy(tmp_path: Path) -> None:
    touch(tmp_path, "a.py", "b.py")
    refuse(r"matches 2 file\(s\), but none that is data .*`\.py`.*`format: text`", tmp_path, "*")
    assert resolve(tmp_path, "*", wanted="text") == ["a.py", "b.py"]


def test_a_format_that_is_given_takes_names_without_a_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "part-00000", "part-00001.json", "table.csv", "_SUCCESS")
    assert resolve(tmp_path, "*", wanted="jsonl") == ["part-00000", "part-00001.json"]


def test_several_formats_under_one_bare_pattern_are_refused_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.jsonl", "b.parquet")
    refuse(r"2 formats: jsonl \(a\.jsonl\), parquet \(b\.parquet\): give a pattern", tmp_path, "*")
    assert resolve(tmp_path, "*.jsonl", "b.parquet") == ["a.jsonl", "b.parquet"]


def test_a_file_is_taken_once_however_many_links_lead_to_it(tmp_path: Path) -> None:
    touch(tmp_path, "a.jsonl", "sub/b.jsonl")
    (tmp_path / "soft.jsonl").symlink_to("a.jsonl")
    os.link(tmp_path / "a.jsonl", tmp_path / "hard.jsonl")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "sub" / "again").symlink_to(tmp_path / "sub")
    assert resolve(tmp_path, "**/*.jsonl", "sub/up/*.jsonl") == ["a.jsonl", "sub/b.jsonl"]


def test_a_link_to_a_folder_around_the_search_brings_no_other_domain_in(tmp_path: Path) -> None:
    touch(tmp_path, "other.jsonl", "mine/a.jsonl", "mine/deep/b.jsonl")
    (tmp_path / "mine" / "deep" / "up").symlink_to(tmp_path)
    assert resolve(tmp_path, "mine/**/*.jsonl") == ["mine/a.jsonl", "mine/deep/b.jsonl"]


def test_a_link_out_of_the_folder_is_followed(tmp_path: Path) -> None:
    touch(tmp_path, "blobs/1234", "snapshot/other.txt")
    (tmp_path / "snapshot" / "a.jsonl").symlink_to("../blobs/1234")
    assert resolve(tmp_path, "snapshot/*.jsonl") == ["snapshot/a.jsonl"]


def test_folders_that_link_to_each_other_end(tmp_path: Path) -> None:
    touch(tmp_path, *(f"d{i}/{i}.txt" for i in range(12)))
    for i in range(12):
        for j in range(12):
            (tmp_path / f"d{i}" / f"to{j}").symlink_to(tmp_path / f"d{j}")
    assert len(resolve(tmp_path, "**/*.txt")) == 12


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.jsonl")
    (tmp_path / "b.jsonl").symlink_to("gone")
    refuse(r"b\.jsonl is a link that leads nowhere", tmp_path, "*.jsonl")
    refuse(r"b\.jsonl is a link that leads nowhere", tmp_path, "b.jsonl")


def test_a_device_is_no_regular_file(tmp_path: Path) -> None:
    refuse(r"`/dev/zero` is no regular file", tmp_path, "/dev/zero")


def test_a_path_that_no_system_holds_is_named(tmp_path: Path) -> None:
    refuse(r"`k`: `aaa.* …` cannot be opened \(File name too long\)", tmp_path, "a" * 5000)


@pytest.mark.parametrize("pattern", ["none.jsonl", "*.jsonl", "folder"])
def test_a_pattern_without_a_file_is_named(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "folder").mkdir()
    refuse(
        rf"`k`: `{re.escape(pattern)}` matches no file in .*: correct the path", tmp_path, pattern
    )


def test_files_are_sorted_within_a_pattern_and_patterns_keep_their_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.txt", "a.txt", "z/c.txt", "z/deep/d.txt")
    assert resolve(tmp_path, "z/*.txt", "*.txt") == ["z/c.txt", "a.txt", "b.txt"]
    assert resolve(tmp_path, "**/*.txt") == ["a.txt", "b.txt", "z/c.txt", "z/deep/d.txt"]


def test_a_file_is_read_once_however_many_patterns_name_it(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt", "b.txt")
    assert resolve(tmp_path, "b.txt", "*.txt", "./b.txt") == ["b.txt", "a.txt"]


def test_an_absolute_path_stands_for_itself(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt")
    assert resolve_files([str(tmp_path / "a.txt")], Path("/elsewhere"), "k") == (
        tmp_path / "a.txt",
    )


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.txt")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_files(["~/a.txt"], Path(os.sep), "k") == (tmp_path / "a.txt",)


def test_a_file_may_be_named_like_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "a[1].txt")
    assert resolve(tmp_path, "a[1].txt") == ["a[1].txt"]


def test_the_recipe_may_lie_in_a_folder_named_like_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "run[1]/a.txt")
    assert resolve(tmp_path / "run[1]", "*.txt") == ["a.txt"]
