import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mixwise.errors import StudyError
from mixwise.files import seal
from mixwise.report.evidence import calibration_of, diagnosis_of, trust_of
from mixwise.report.reading import load_contents

MakeStudy = Callable[..., Path]


def _json(folder: Path, name: str) -> dict[str, object]:
    return dict(json.loads((folder / f"{name}.json").read_text()))


def test_calibration_is_read_as_it_was_written(make_study: MakeStudy) -> None:
    found = calibration_of(_json(make_study(), "calibration"))
    assert found.gains == (None, 0.0625)
    assert found.mixtures[1].reached("objective") == pytest.approx(1.25)
    assert found.noise == 0.1875


def test_the_recommendations_own_verdict_comes_before_the_diagnosis(make_study: MakeStudy) -> None:
    contents = load_contents(make_study())
    assert contents.trust is not None
    assert contents.trust.word == "trust the ranking only"
    assert contents.diagnosis is not None
    assert contents.diagnosis.verdict.word == "do not trust"


def test_without_its_own_verdict_the_diagnosis_speaks(make_study: MakeStudy) -> None:
    contents = load_contents(make_study(stages=("search", "diagnosis")))
    assert contents.trust is not None
    assert contents.trust.basis == "predicted"


def test_an_older_study_has_neither(make_study: MakeStudy) -> None:
    contents = load_contents(make_study(stages=("search", "validation")))
    assert contents.trust is contents.diagnosis is contents.calibration is None
    assert contents.validation is not None
    assert contents.validation.calibrated is None
    assert diagnosis_of({"geometry": {}}) is None
    assert trust_of({"trust": None}) is None


@pytest.mark.parametrize("name", ["calibration", "diagnose"])
def test_results_of_another_recipe_count_as_missing(make_study: MakeStudy, name: str) -> None:
    folder = make_study()
    content = _json(folder, name) | {"recipe": "another"}
    (folder / f"{name}.json").write_text(seal(content))
    contents = load_contents(folder)
    found = {"calibration": contents.calibration, "diagnose": contents.diagnosis}
    assert [key for key, value in found.items() if value is None] == [name]


def test_calibrated_fidelity_of_another_version_says_what_to_do(make_study: MakeStudy) -> None:
    folder = make_study()
    content = json.loads((folder / "recommendation.json").read_text())
    del content["fidelity_calibrated"]["chance"]
    (folder / "recommendation.json").write_text(seal(content))
    with pytest.raises(StudyError, match=r"another version .* `mixwise validate`"):
        load_contents(folder)
