from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.command_line import Cli
from transformers import AutoModelForCausalLM


def test_units_of_the_models_that_a_study_holds(finished: Path, mixwise: Cli) -> None:
    code, out, err = mixwise("units", finished, "--draws", 2, "--json")
    assert code == 0, err
    models = json.loads(out)["models"]
    named = [f"expert:{name}" for name in ("alpha", "beta", "gamma")]
    assert [row["model"] for row in models[:-1]] == ["base", *named]
    heldout = list((finished / "heldout").glob("*.npy"))  # fewer sequences than may be read
    shares = json.loads((finished / "recommendation.json").read_text())["mixture"]
    assert models[-1]["model"].startswith("merge:")
    assert all(f"{name}={share}" in models[-1]["model"] for name, share in shares.items() if share)
    for row in models:
        assert [layer["n_units"] for layer in row["layers"]] == [32, 32]
        assert all(0 < layer["redundant"] <= 1 for layer in row["layers"])
        assert np.shape(row["agreement"]) == (2, 7)
        assert row["prunable"]["least"] == min(row["prunable_draws"])
        assert row["n_predictions"] == sum(np.load(file).size for file in heldout)
    assert len({json.dumps(row["agreement"]) for row in models}) > 1


def test_units_of_one_expert_are_those_of_its_corner_and_its_checkpoint(
    finished: Path, mixwise: Cli
) -> None:
    names = ["--model", "expert:beta", "--model", "merge:beta=1"]
    code, out, err = mixwise("units", finished, *names, "--sequences", 5, "--seed", 3, "--json")
    assert code == 0, err
    expert, corner = json.loads(out)["models"]
    assert expert["agreement"] == corner["agreement"]
    assert expert["layers"] == corner["layers"]

    from mixwise.diagnostics.units.layers import find_mlp_layers
    from mixwise.diagnostics.units.silencing import measure_units, next_tokens

    module = AutoModelForCausalLM.from_pretrained(finished / "experts" / "beta").eval()
    ids = [
        torch.from_numpy(np.load(finished / "heldout" / f"{name}.npy")[:5].astype(np.int64))
        for name in ("alpha", "beta", "gamma", "mixed")
    ]
    own = measure_units(module, ids, find_mlp_layers(module), predict=next_tokens, seed=3)
    assert np.allclose(expert["agreement"], own.agreement, atol=1.5 / own.n_predictions)
    assert expert["redundant"] == pytest.approx(own.redundant)


def test_units_of_a_reference_are_told_by_seed(finished: Path, mixwise: Cli) -> None:
    text = "alpha=0.5,gamma=0.5"
    code, _, err = mixwise("units", finished, "--model", f"reference:{text}")
    assert code == 1
    assert "no reference of `alpha=0.5,gamma=0.5` is trained" in err
    assert mixwise("score", finished, "--mixture", text, "--answer", "reference")[0] == 0
    code, out, _ = mixwise("units", finished, "--model", f"reference:{text}", "--draws", 1)
    assert code == 0
    assert "(seed 1)" in out
    assert "(seed 2)" in out
    assert "redundant" in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model", "best"], "`--model best` must be `base`, `expert:NAME`"),
        (["--model", "base:alpha"], "`--model base:alpha` must be `base`"),
        (["--model", "expert:alhpa"], "no such domain: did you mean `alpha`?"),
        (["--model", "merge:alpha=0.5"], "add up to 0.5"),
        (["--layers", "*.nope"], "`--layers *.nope` must match the name of a linear"),
        (["--draws", "0"], "`--draws` must be at least 1, but got 0"),
    ],
)
def test_units_that_cannot_be_measured_are_refused(
    arguments: list[str], expected: str, finished: Path, mixwise: Cli
) -> None:
    code, _, err = mixwise("units", finished, *arguments)
    assert code == 1
    assert expected in err
