import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mixwise.errors import DamagedError, MixwiseWarning, ResourceError, StudyError
from mixwise.files import seal
from mixwise.recipe import load_recipe
from mixwise.study.folder import RECIPE_FILE, SEARCH_FILE, StudyFolder

RECIPE = "base: b\nhorizon_tokens: 100000\ndomains: {a: {files: a.txt}, b: {files: b.txt}}\n"

HOLD = """
import sys
from pathlib import Path
from mixwise.study.folder import StudyFolder

with StudyFolder.open(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def make_study(folder: Path, recipe_file: Path) -> StudyFolder:
    study = StudyFolder.create(folder, recipe_file)
    study.save_recipe(recipe_file.read_text())
    return study


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "recipes" / "mine.yaml"
    path.parent.mkdir()
    path.write_text(RECIPE)
    return path


@pytest.fixture
def study(tmp_path: Path, recipe_file: Path) -> StudyFolder:
    return make_study(tmp_path / "deep" / "study", recipe_file)


@contextmanager
def held_by_another_process(study: StudyFolder) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(study.folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def test_a_study_keeps_the_recipe_as_given_and_where_it_came_from(
    study: StudyFolder, recipe_file: Path
) -> None:
    assert (study.folder / RECIPE_FILE).read_text() == RECIPE
    assert study.recipe == load_recipe(recipe_file)
    assert study.recipe_folder == recipe_file.parent


def test_a_study_can_be_opened_again(study: StudyFolder) -> None:
    assert StudyFolder.open(study.folder) == study


def test_creating_again_goes_on_with_the_same_study(study: StudyFolder, recipe_file: Path) -> None:
    study.save_json(SEARCH_FILE, {"kept": 1})
    again = make_study(study.folder, recipe_file)
    assert again == study
    assert again.load_json(SEARCH_FILE) == {"kept": 1}


def test_an_empty_folder_may_become_a_study(tmp_path: Path, recipe_file: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert make_study(tmp_path / "empty", recipe_file).recipe.base == "b"


def test_a_folder_with_other_files_is_refused_and_left_alone(
    tmp_path: Path, recipe_file: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "me.jpg").touch()
    with pytest.raises(StudyError, match="photos: holds files but no study: choose an empty or"):
        StudyFolder.create(folder, recipe_file)
    assert [path.name for path in folder.iterdir()] == ["me.jpg"]


def test_a_file_is_no_study(tmp_path: Path, recipe_file: Path) -> None:
    with pytest.raises(StudyError, match="is a file, but a study is a folder"):
        StudyFolder.create(recipe_file, recipe_file)


def test_a_folder_without_a_study_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"no study here: make one with `mixwise run RECIPE"):
        StudyFolder.open(tmp_path)


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b"{}", b'"text"', b"\xff", b'{"version": 1}'])
def test_a_damaged_study_file_is_refused_by_name(study: StudyFolder, note: bytes) -> None:
    (study.folder / "study.json").write_bytes(note)
    with pytest.raises(
        DamagedError, match=r"study\.json: is damaged .* or run `mixwise run RECIPE"
    ):
        StudyFolder.open(study.folder)


def test_a_study_of_another_version_is_refused(study: StudyFolder) -> None:
    (study.folder / "study.json").write_text(seal({"version": 7}))
    with pytest.raises(StudyError, match="has version 7, but this mixwise reads version 1: use"):
        StudyFolder.open(study.folder)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"recipe_folder": 3}, "recipe_folder"),
        ({"recipe_folder": []}, "recipe_folder"),
        ({"recipe": 1}, "recipe"),
        ({"verify": "yes"}, "verify"),
        ({"domains_from": {"a": 1}}, "domains_from"),
        ({"domains_from": []}, "domains_from"),
        ({"problem": "x"}, "problem"),
        ({"problem": {}}, "problem"),
    ],
)
def test_a_study_file_of_somebody_elses_is_refused_by_its_key(
    study: StudyFolder, changes: dict[str, object], key: str
) -> None:
    content = {"version": 1, "recipe_folder": "/r", **changes}
    (study.folder / "study.json").write_text(seal(content))
    with pytest.raises(DamagedError, match=f"study.json: is damaged .`{key}` is missing or no"):
        StudyFolder.open(study.folder)


@pytest.mark.parametrize("place", ["x" * 5000, "/a\nmixwise: error: forged"])
def test_a_recipe_folder_that_is_none_is_told_in_a_line(study: StudyFolder, place: str) -> None:
    (study.folder / "study.json").write_text(seal({"version": 1, "recipe_folder": place}))
    with pytest.raises(StudyError, match="is not there: put it back") as caught:
        StudyFolder.open(study.folder).require_recipe_folder()
    assert str(caught.value).isprintable()


def test_a_version_from_a_file_is_shown_escaped(study: StudyFolder) -> None:
    (study.folder / "study.json").write_text(seal({"version": "\x1b[2J"}))
    with pytest.raises(StudyError, match=r"has version '\\x1b\[2J'"):
        StudyFolder.open(study.folder)


def test_a_study_from_before_versions_is_opened(study: StudyFolder) -> None:
    (study.folder / "study.json").write_text(json.dumps({"recipe_folder": "/r"}))
    assert StudyFolder.open(study.folder).recipe_folder == Path("/r")


def test_a_recipe_that_was_edited_in_the_study_is_said(study: StudyFolder) -> None:
    with (study.folder / RECIPE_FILE).open("a") as file:
        file.write("# mine\n")
    with pytest.warns(MixwiseWarning, match=r"recipe\.yaml: is not the recipe that the study was"):
        assert study.recipe.base == "b"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"kept": 1}'])
def test_a_damaged_result_is_refused_where_it_is_read_and_said_where_it_is_written(
    study: StudyFolder, content: bytes
) -> None:
    path = study.folder / "validation.json"
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"validation\.json: is damaged .*`mixwise validate "):
        study.load_json("validation.json")
    with pytest.warns(MixwiseWarning, match=r"validation\.json: is damaged .*: it is made anew"):
        study.save_json("validation.json", {"kept": 1})
    assert study.load_json("validation.json") == {"kept": 1}


def test_a_ledger_that_is_gone_is_said(study: StudyFolder) -> None:
    study.save_json(SEARCH_FILE, {"kept": 1})
    with pytest.warns(MixwiseWarning, match=r"ledger\.sqlite: is missing or empty, but the study"):
        study.open_ledger().close()
    study.open_ledger().close()


def test_a_folder_that_cannot_be_made_is_a_resource_error(
    tmp_path: Path, recipe_file: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match=r"cannot be made .*: choose another folder"):
        StudyFolder.create(tmp_path / "file" / "study", recipe_file)


def test_places_in_the_study(study: StudyFolder) -> None:
    assert study.expert_folder("math") == study.folder / "experts" / "math"
    long = "0123456789abcdef" * 2
    assert study.reference_folder(long) == study.folder / "references" / long[:16]


def test_the_ledger_lies_in_the_study(study: StudyFolder) -> None:
    study.open_ledger().close()
    assert (study.folder / "ledger.sqlite").is_file()


def test_a_json_file_comes_back_and_a_missing_one_is_none(study: StudyFolder) -> None:
    assert study.load_json(SEARCH_FILE) is None
    study.save_json(SEARCH_FILE, {"größe": [1, 2.5, None]})
    assert study.load_json(SEARCH_FILE) == {"größe": [1, 2.5, None]}
    assert "größe" in (study.folder / SEARCH_FILE).read_text(encoding="utf-8")


def test_a_failed_write_leaves_the_old_content(
    study: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.save_json(SEARCH_FILE, {"old": 1})

    def disk_is_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_is_full)
    with pytest.raises(ResourceError, match=r"search.json: cannot be written .*No space left"):
        study.save_json(SEARCH_FILE, {"new": 2})
    assert study.load_json(SEARCH_FILE) == {"old": 1}


def test_content_that_is_no_json_leaves_the_old_content(study: StudyFolder) -> None:
    study.save_json(SEARCH_FILE, {"old": 1})
    with pytest.raises(TypeError, match="not JSON serializable"):
        study.save_json(SEARCH_FILE, {"new": object()})
    assert study.load_json(SEARCH_FILE) == {"old": 1}


def test_no_partial_file_is_left_after_a_write(study: StudyFolder) -> None:
    study.save_json(SEARCH_FILE, {"a": 1})
    assert not list(study.folder.glob("*.partial")) + list(study.folder.glob(".*.partial*"))


def test_the_lock_can_be_taken_again_after_use_and_after_an_error(study: StudyFolder) -> None:
    with study.lock():
        pass
    with pytest.raises(RuntimeError, match="inside"), study.lock():
        raise RuntimeError("inside")
    with study.lock():
        pass


def test_a_second_process_is_refused_and_told_which_one_works(
    study: StudyFolder, recipe_file: Path
) -> None:
    with held_by_another_process(study) as process:
        message = rf"{re.escape(str(study.folder))}: another mixwise \(process {process.pid}\) is"
        with pytest.raises(StudyError, match=message), study.lock():
            pass
        with (
            pytest.raises(StudyError, match="wait until it has ended, or stop it"),
            StudyFolder.create(study.folder, recipe_file).lock(),
        ):
            pass
        process.kill()


def test_the_lock_is_gone_with_a_killed_process(study: StudyFolder) -> None:
    with held_by_another_process(study) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with study.lock():
            assert (study.folder / ".lock").read_text() == str(os.getpid())


def test_several_share_a_study_and_nobody_has_it_alone_meanwhile(study: StudyFolder) -> None:
    with study.share(), study.share():
        assert study.holder == "of `experts --only`"
        with (
            pytest.raises(StudyError, match=r"process of `experts --only`\) is working in this"),
            study.lock(),
        ):
            pass
    assert study.holder is None
    with study.lock():
        assert study.holder == str(os.getpid())
        with pytest.raises(StudyError, match=rf"process {os.getpid()}\) is"), study.share():
            pass


def test_a_study_killed_while_it_was_made_can_be_made_again(
    tmp_path: Path, recipe_file: Path
) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / ".lock").write_text("123")
    (folder / ".recipe.yaml.partial").write_text("ba")
    assert make_study(folder, recipe_file).recipe.base == "b"
    assert json.loads((folder / "study.json").read_text())


def test_a_new_study_holds_nothing_before_its_recipe_is_saved(
    tmp_path: Path, recipe_file: Path
) -> None:
    study = StudyFolder.create(tmp_path / "new", recipe_file)
    assert not list(study.folder.iterdir())
    with pytest.raises(StudyError, match="no study here"):
        StudyFolder.open(study.folder)
