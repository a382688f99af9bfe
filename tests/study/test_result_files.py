import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.report.conftest import Parts
from tests.report.surfaces import fit

from mixwise.errors import StudyError
from mixwise.study.folder import StudyFolder
from mixwise.study.result_files import (
    FILES,
    load_result,
    parse_result,
    result_to_json,
)
from mixwise.study.results import (
    Recommendation,
    ValidationFound,
)

PARTS = Parts(("math", "code"), "slopes")
RESULTS = (
    PARTS.search(),
    PARTS.calibration(),
    PARTS.validation(),
    PARTS.final(),
    PARTS.diagnosis(),
    PARTS.calibrated_recommendation(),
    PARTS.snippets(),
    fit(("math", "code"))[1],
)


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_every_result_is_read_as_it_was_written(result: Any) -> None:
    content = json.loads(json.dumps(result_to_json(result)))
    assert parse_result(type(result), content, "file") == result
    assert set(FILES) == {type(one) for one in RESULTS}


def test_another_form_is_named_with_what_to_do() -> None:
    content = result_to_json(PARTS.recommendation())
    del content["proxy"]["objective"]
    with pytest.raises(StudyError, match=r"x.json: was written by another .*`proxy.objective`"):
        parse_result(Recommendation, content, "x.json")


def _empty_rows(content: Any) -> None:
    content["rows"] = []


def _other_direction(content: Any) -> None:
    next(iter(content["metrics"].values()))["direction"] = "<script>"


def _short_line(content: Any) -> None:
    of_domain = next(iter(content["profiles"]["lines"].values()))
    of_domain[next(iter(of_domain))].pop()


@pytest.mark.parametrize(
    ("result", "change"),
    [
        (PARTS.final(), _empty_rows),
        (PARTS.search(), _other_direction),
        (PARTS.search(), _short_line),
    ],
)
def test_values_that_do_not_fit_each_other_are_refused(
    result: Any, change: Callable[[Any], None]
) -> None:
    content = json.loads(json.dumps(result_to_json(result)))
    change(content)
    with pytest.raises(StudyError, match=r"x.json: was written by another"):
        parse_result(type(result), content, "x.json")


def test_a_result_of_other_inputs_is_not_loaded(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path, tmp_path)
    assert load_result(study, ValidationFound) is None
    found = PARTS.validation()
    study.save_json(FILES[ValidationFound], {"recipe": "a", **result_to_json(found)})
    assert load_result(study, ValidationFound) == found
    assert load_result(study, ValidationFound, recipe="a") == found
    assert load_result(study, ValidationFound, recipe="b") is None


def test_a_mean_over_seeds_is_reached_and_none_without_a_run() -> None:
    row = PARTS.final().rows[0]
    assert row.reached() == pytest.approx(row.proxy.objective + 0.25)
    assert replace(row, runs=()).reached("math/loss") is None
