from dataclasses import replace

import pytest

from mixwise.console import print_diagnosis
from mixwise.decision.trust import Trust
from mixwise.diagnostics.findings import Block, Geometry, TrajectoryPoint
from mixwise.study.results import (
    Causes,
    Diagnosis,
    InterferenceFacts,
    PrecisionFacts,
    ScoreError,
)

Capture = pytest.CaptureFixture[str]


def _diagnosis() -> Diagnosis:
    effects = {"math/loss": (-0.5, -0.125), "quiz/answer_bits": (0.25, 0.0)}
    block = Block("layer 0", (0.5, 0.25), ((1.0, 0.75), (0.75, 1.0)))
    domains = ("math", "code")
    return Diagnosis(
        geometry=Geometry(domains, (0.0125, 0.025), ((1.0, 0.25), (0.25, 1.0)), (block,)),
        trajectory=(
            TrajectoryPoint(2, (0.1, 0.1), (0.25, 0.25), (0.5, 0.5), 0.0),
            TrajectoryPoint(4, (0.2, 0.2), (0.5, 0.625), (0.75, 1.0), 0.0),
        ),
        interference=InterferenceFacts(
            domains,
            0,
            effects,
            (),
            None,
            Causes(*(dict.fromkeys(effects, value) for value in (0.0625, -0.25, 0.0))),
            (),
        ),
        precision=PrecisionFacts((), {}, ()),
        fidelity=None,
        trust=Trust(
            "do not trust",
            "predicted",
            False,
            ("much is of second order", "the level is unknown"),
            ("train for less", "validate"),
        ),
    )


def _with_metric(metric: str) -> Diagnosis:
    precision = PrecisionFacts((), {metric: ScoreError(effect=1.0, error=0.5)}, (metric,))
    return replace(_diagnosis(), precision=precision)


def test_geometry_causes_and_trust_are_printed(capsys: Capture) -> None:
    print_diagnosis(_with_metric("math/loss"))
    out = " ".join(capsys.readouterr().out.split())
    for part in (
        "│ code │ 0.0250 │ 0.25 │ 1.00 │",
        "│ layer 0 │ 0.3750 │ 0.75 │",
        "After 4 steps the task vectors had 56 % of their length, at a cosine of 0.88",
        "│ math │ -0.5000 │",
        "│ quiz/answer_bits │ +0.0625 │ -0.2500 │",
        "it takes two seeds to see it",
        "Trust: DO NOT TRUST (predicted, not certain).",
        "Because: much is of second order. Because: the level is unknown.",
        "What helps: train for less. What helps: validate.",
    ):
        assert part in out
    assert "averaged noise" not in out


def test_noise_that_is_known_is_a_cause(capsys: Capture) -> None:
    found = _diagnosis()
    print_diagnosis(replace(found, interference=replace(found.interference, noise={})))
    out = capsys.readouterr().out
    assert "averaged noise" in out
    assert "two seeds" not in out


def test_a_metric_without_slopes_has_no_first_order_effect(capsys: Capture) -> None:
    print_diagnosis(_with_metric("quiz/accuracy"))
    assert "First-order" not in capsys.readouterr().out


def test_one_expert_without_a_trajectory(capsys: Capture) -> None:
    found = _diagnosis()
    geometry = replace(found.geometry, blocks=(Block("layer 0", (0.5,), ((1.0,),)),))
    print_diagnosis(replace(found, trajectory=(), geometry=geometry))
    out = capsys.readouterr().out
    assert "0.5000    │ —" in out
    assert "steps" not in out


def test_what_is_not_true_of_steps_is_left_out_with_its_reason(capsys: Capture) -> None:
    found = replace(
        _with_metric("math/loss"), interference=None, precision=None, trust=None, left_out="Why."
    )
    print_diagnosis(found)
    out = capsys.readouterr().out
    assert "relative size" in out
    assert "Why." in out
    for word in ("linear merge", "precision", "Trust"):
        assert word not in out
