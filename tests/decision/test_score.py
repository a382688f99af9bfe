import pytest
from pydantic import TypeAdapter, ValidationError

from mixwise.decision.score import Score
from mixwise.mixture import Mixture
from mixwise.objective import Metric, Objective, Scale, Term


def test_a_score_is_read_and_written_as_shares_by_domain() -> None:
    score = Score(Mixture(("a", "b"), (0.25, 0.75)), 1.5, {"s/loss": 2.0})
    content = TypeAdapter(Score).dump_python(score, mode="json")
    assert content["mixture"] == {"a": 0.25, "b": 0.75}
    assert TypeAdapter(Score).validate_python(content) == score
    assert score.value("objective") == 1.5
    assert score.value("s/loss") == 2.0
    with pytest.raises(ValidationError, match="must add up to 1"):
        TypeAdapter(Score).validate_python(content | {"mixture": {"a": 2.0}})
    with pytest.raises(ValidationError, match="mixture"):
        TypeAdapter(Score).validate_python(content | {"mixture": 3})


def test_the_base_has_no_shares() -> None:
    assert Score(None, 0.0, {}).shares == {}
    term = Term(Metric("s", "loss", "min"), 1.0)
    assert Objective((term,)).value({"s/loss": 1.0}, Scale({"s/loss": 2.0}, {"s/loss": 0.5})) == 2
