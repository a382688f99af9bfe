import pytest

from mixwise.errors import RecipeError
from mixwise.kinds import KINDS, EvaluationKind, register_kind
from mixwise.objective import Measure
from mixwise.section import Section

MEASURES = [
    measure for kind in KINDS.values() if not callable(kind.measures) for measure in kind.measures
]


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_every_measure_says_its_unit_and_meaning(measure: Measure) -> None:
    assert measure.unit
    assert measure.meaning
    assert measure.direction == ("max" if measure.unit == "share" else "min")


def test_measures_of_a_kind_have_one_name_each() -> None:
    fixed = [kind for kind in KINDS.values() if not callable(kind.measures)]
    for names in ([m.name for m in kind.measures_of(Section())] for kind in fixed):
        assert sorted(set(names)) == sorted(names)


def test_a_measure_is_found_by_its_kind_alone() -> None:
    fixed = [kind for kind in KINDS.values() if not callable(kind.measures)]
    names = {kind.name: [m.name for m in kind.measures_of(Section())] for kind in fixed}
    assert "accuracy" not in names["text"]
    assert "accuracy" in names["choice"]


def test_a_taken_name_is_refused() -> None:
    row = EvaluationKind("text", (), "nowhere:nothing")
    with pytest.raises(RecipeError, match="there is a kind of evaluation set `text` already"):
        register_kind(row)
    with pytest.raises(RecipeError, match="`texts` is not a kind of evaluation set: did you mean"):
        KINDS.find("texts")
