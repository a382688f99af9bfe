"""What a recipe may say of an lm-eval task."""

from __future__ import annotations

from mixwise.kinds.lm_eval import LmEvalKeys, measures_of


def test_known_metrics_have_their_direction_and_others_are_said() -> None:
    known = measures_of(LmEvalKeys(task="a", measures=("acc", "log_perplexity")))
    assert [(m.name, m.direction) for m in known] == [("acc", "max"), ("log_perplexity", "min")]
    [own] = measures_of(LmEvalKeys(task="a", measures={"my_score": "max"}))
    assert (own.name, own.direction, own.is_differentiable) == ("my_score", "max", False)


def test_the_right_answers_bits_can_be_followed_by_slopes() -> None:
    [found] = measures_of(LmEvalKeys(task="a", measures=("answer_bits_per_byte",)))
    assert found.is_differentiable
    assert found.unit == "bits/byte"
