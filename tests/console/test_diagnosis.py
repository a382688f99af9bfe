from typing import Any

import pytest

from mixwise.console import print_diagnosis

Capture = pytest.CaptureFixture[str]


def _diagnosis() -> dict[str, Any]:
    effects = {"math/loss": [-0.5, -0.125], "quiz/answer_bits": [0.25, 0.0]}
    causes = {"self_scaling": 0.0625, "cross_domain": -0.25, "averaged_noise": 0.0}
    return {
        "geometry": {
            "domains": ["math", "code"],
            "relative_sizes": [0.0125, 0.025],
            "cosines": [[1.0, 0.25], [0.25, 1.0]],
            "blocks": [
                {
                    "name": "layer 0",
                    "relative_sizes": [0.5, 0.25],
                    "cosines": [[1.0, 0.75], [0.75, 1.0]],
                }
            ],
        },
        "trajectory": [
            {"step": 2, "progress": [0.25, 0.25], "alignment": [0.5, 0.5]},
            {"step": 4, "progress": [0.5, 0.625], "alignment": [0.75, 1.0]},
        ],
        "interference": {
            "domains": ["math", "code"],
            "first_order": effects,
            "noise": None,
            "uniform": {name: dict.fromkeys(effects, value) for name, value in causes.items()},
        },
        "precision": {"stored": [], "scores": {}, "in_objective": []},
        "fidelity": None,
        "verdict": {
            "word": "do not trust",
            "basis": "predicted",
            "is_clear": False,
            "reasons": ["much is of second order", "the level is unknown"],
            "remedies": ["train for less", "validate"],
        },
    }


def _with_metric(metric: str) -> dict[str, Any]:
    content = _diagnosis()
    score = {metric: {"effect": 1.0, "error": 0.5}}
    content["precision"] |= {"in_objective": [metric], "scores": score}
    return content


def test_geometry_causes_and_verdict_are_printed(capsys: Capture) -> None:
    print_diagnosis(_with_metric("math/loss"))
    out = " ".join(capsys.readouterr().out.split())
    for part in (
        "│ code │ 0.0250 │ 0.25 │ 1.00 │",
        "│ layer 0 │ 0.3750 │ 0.75 │",
        "After 4 steps the task vectors had 56 % of their length, at a cosine of 0.88",
        "│ math │ -0.5000 │",
        "│ quiz/answer_bits │ +0.0625 │ -0.2500 │",
        "it takes two seeds to see it",
        "Verdict: DO NOT TRUST (predicted, not certain).",
        "Because: much is of second order. Because: the level is unknown.",
        "What helps: train for less. What helps: validate.",
    ):
        assert part in out
    assert "averaged noise" not in out


def test_noise_that_is_known_is_a_cause(capsys: Capture) -> None:
    content = _diagnosis()
    content["interference"]["noise"] = {}
    print_diagnosis(content)
    out = capsys.readouterr().out
    assert "averaged noise" in out
    assert "two seeds" not in out


def test_a_metric_without_slopes_has_no_first_order_effect(capsys: Capture) -> None:
    print_diagnosis(_with_metric("quiz/accuracy"))
    assert "First-order" not in capsys.readouterr().out


def test_one_expert_without_a_trajectory(capsys: Capture) -> None:
    content = _diagnosis()
    content["trajectory"] = []
    content["geometry"]["blocks"][0] |= {"relative_sizes": [0.5], "cosines": [[1.0]]}
    print_diagnosis(content)
    out = capsys.readouterr().out
    assert "0.5000    │ —" in out
    assert "steps" not in out
