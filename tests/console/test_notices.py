from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from mixwise.console.notices import keep_notice, keeping_warnings, showing_warnings
from mixwise.errors import MixwiseWarning
from mixwise.study.folder import NOTICES_FILE, StudyFolder


def warn(text: str) -> None:
    warnings.warn(text, MixwiseWarning, stacklevel=2)


def texts(study: StudyFolder) -> list[str]:
    return [notice["text"] for notice in study.load_json(NOTICES_FILE)["notices"]]


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path, tmp_path)


def test_each_text_is_shown_once_and_kept_once_the_newest_last(
    study: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with showing_warnings():
        warn("before there is a study")
        with keeping_warnings(study):
            for text in ("cache made anew", "store made anew", "cache made anew"):
                warn(text)
    assert capsys.readouterr().err.splitlines() == [
        "mixwise: warning: before there is a study",
        "mixwise: warning: cache made anew",
        "mixwise: warning: store made anew",
    ]
    assert texts(study) == ["store made anew", "cache made anew"]


def test_warnings_of_others_stay_as_they_are(study: StudyFolder) -> None:
    with (
        pytest.warns(FutureWarning, match="will change"),
        showing_warnings(),
        keeping_warnings(study),
    ):
        warnings.warn("this will change", FutureWarning, stacklevel=1)
    assert study.load_json(NOTICES_FILE) is None


def test_damaged_notices_are_made_anew(study: StudyFolder) -> None:
    (study.folder / NOTICES_FILE).write_text('{"notices": [')
    keep_notice(study, "after the damage")
    assert texts(study) == ["after the damage"]
