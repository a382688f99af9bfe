"""A study of a problem that tells tracking tools how far it is."""

from pathlib import Path
from typing import Any

import pytest
from tests.problem.toys import ASKED, toy
from tests.tracking.test_tools import scalars

from mixwise.api import ProblemStudy
from mixwise.errors import MissingDependencyError, RecipeError
from mixwise.files import CONTENT_HASH
from mixwise.problem.question import ProblemQuestion
from mixwise.problem.settings import parse_settings
from mixwise.tracking.tools import TOOLS

TOLD: dict[str, Any] = ASKED | {"tracking": {"to": ["tensorboard"], "name": "nets"}}


def test_the_study_is_told_once_and_answers_the_same(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    found = {}
    for name, asked in (("plain", ASKED), ("told", TOLD), ("told", TOLD)):
        with ProblemStudy.create(tmp_path / name, toy(), asked) as study:
            found[name] = study.run()
    assert found["plain"].mixture == found["told"].mixture
    search = [(tmp_path / name / "search.json").read_text() for name in ("plain", "told")]
    assert CONTENT_HASH in search[0]
    assert search[0] == search[1]
    [folder] = (tmp_path / "told" / "tracking" / "tensorboard").iterdir()
    curves = scalars(folder)
    steps = [step for step, _ in curves["proxy/objective"]]
    assert steps == list(range(1, len(steps) + 1))
    assert len(curves["recommendation/price"]) == 1
    assert not (tmp_path / "plain" / "tracking").exists()


def test_tools_are_no_part_of_what_is_asked() -> None:
    keys = {ProblemQuestion(toy(), parse_settings(each, "settings")).key for each in (ASKED, TOLD)}
    assert len(keys) == 1


def test_a_tool_that_is_missing_is_refused_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixwise.tracking.tools.find_spec", lambda name: None)
    assert "trackio" in TOOLS
    asked = ASKED | {"tracking": {"to": ["trackio"]}}
    with (
        pytest.raises(MissingDependencyError, match=r"pip install 'mixwise\[trackio\]'"),
        ProblemStudy.create(tmp_path / "study", toy(), asked),
    ):
        pass
    assert not (tmp_path / "study" / "base").exists()
    with pytest.raises(RecipeError, match="tracking"):
        parse_settings(ASKED | {"tracking": {"to": ["excel"]}}, "settings")
