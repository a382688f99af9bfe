"""Rows of evaluation sets in training data: found, named, left out or refused."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from tests.conftest import write_rows

from mixwise.errors import DataError, MixwiseWarning
from mixwise.progress import Progress
from mixwise.recipe import load_recipe
from mixwise.stages.check import run_check
from mixwise.study.inputs import Inputs, Settings

QUESTION = "Which of these numbers stands between the one and the three in a row of numbers"
FREE = "What a question that no document of any of these domains has ever asked of anybody"


def inputs_of(pico: Path, action: str) -> Inputs:
    text = (pico / "recipe.yaml").read_text() + f"contamination: {{action: {action}}}\n"
    (pico / "other.yaml").write_text(text)
    return Inputs(load_recipe(pico / "other.yaml"), Settings(pico, pico / "tokens"))


@pytest.fixture
def planted(pico: Path) -> Path:
    """A question that stands in a document of alpha, in other case and white space."""
    quiz = [
        {"prompt": text, "choices": [" two", " deux"], "answer": 0} for text in (FREE, QUESTION)
    ]
    write_rows(pico / "quiz.jsonl", quiz)
    with (pico / "alpha.jsonl").open("a") as file:
        for k in range(3):  # one of them is trained on, whatever is held out
            spaced = "  ".join(QUESTION.upper().split(" "))
            file.write(json.dumps({"text": f"{k}: {spaced},\n TWO ..."}) + "\n")
    return pico


def test_a_planted_row_is_named(planted: Path) -> None:
    inputs = inputs_of(planted, "warn")
    found = inputs.leaks["quiz"]
    assert (found.n_rows, found.n_short, len(found.leaks)) == (2, 0, 1)
    [leak] = found.leaks
    assert (leak.domain, leak.coverage) == ("alpha", 1.0)
    assert leak.place.endswith("quiz.jsonl:2")
    assert "alpha.jsonl:" in leak.document
    assert inputs.suite.sets[-1].n_examples == 2
    [warning] = [w for w in run_check(inputs, planted / "study").warnings if "row(s) stand" in w]
    assert warning.startswith("`evaluation.sets.quiz`: 1 of 2 row(s) stand in the training")
    assert warning.endswith("`contamination.action: drop` leaves them out")


def test_a_row_is_left_out(planted: Path) -> None:
    inputs = inputs_of(planted, "drop")
    assert inputs.suite.sets[-1].n_examples == 1
    warnings = run_check(inputs, planted / "study").warnings
    assert any(w.endswith("; they are left out of the evaluation") for w in warnings)


def test_a_row_is_refused(planted: Path) -> None:
    inputs = inputs_of(planted, "refuse")
    with pytest.raises(DataError, match=re.escape("1 of 2 row(s) stand in the training documents")):
        run_check(inputs, planted / "study")


def test_a_clean_recipe_is_silent(pico: Path) -> None:
    inputs = inputs_of(pico, "refuse")
    assert all(not found.leaks for found in inputs.leaks.values())
    assert not any("row(s) stand" in w for w in run_check(inputs, pico / "study").warnings)


def test_the_search_says_when_it_is_done(planted: Path) -> None:
    told: list[Progress] = []
    recipe = load_recipe(planted / "recipe.yaml")
    settings = Settings(planted, planted / "tokens")
    assert Inputs(recipe, settings, on_progress=told.append).leaks
    done = [report.done for report in told if report.task == "looking for test texts"]
    assert done == [0, 1, 2, 3]


def test_what_was_found_is_kept_and_a_damaged_file_found_anew(
    planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = inputs_of(planted, "warn").leaks
    [file] = (planted / "tokens").glob("contamination-*.json")
    with monkeypatch.context() as patched:
        patched.setattr("mixwise.study.contamination.RowIndex", None)  # nothing is read again
        assert inputs_of(planted, "warn").leaks == before
    file.write_text(file.read_text().replace("alpha", "gamma"))
    with pytest.warns(MixwiseWarning, match="test texts are looked for anew"):
        assert inputs_of(planted, "warn").leaks == before


def test_a_file_that_has_moved_is_named_where_it_is_now(planted: Path) -> None:
    assert "alpha.jsonl:" in inputs_of(planted, "warn").leaks["quiz"].leaks[0].document
    (planted / "alpha.jsonl").rename(planted / os.fsdecode(b"moved-\xe9.jsonl"))
    recipe = planted / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("files: alpha.jsonl", "files: moved*.jsonl"))
    assert "moved-\\udce9.jsonl:" in inputs_of(planted, "warn").leaks["quiz"].leaks[0].document
