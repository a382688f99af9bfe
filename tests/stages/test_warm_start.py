from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import RECIPE

from mixwise.errors import RecipeError
from mixwise.mixture import Mixture
from mixwise.problem.settings import parse_settings
from mixwise.recipe import load_recipe
from mixwise.tracking.study import TrackedStudy

Cli = Callable[..., tuple[int, str, str]]
WARM = "final: {start: merged, baselines: [uniform], seeds: 1}\n"
SHORT = "experts: {horizon_tokens: 128}\nsearch: {method: lattice, prefer: none}\n"


def write(pico: Path, final: str, **changes: str) -> Path:
    """A recipe of few runs: short experts, and a final run that moves next to nothing."""
    text = RECIPE.replace("verify: true\n", "").replace("{mixtures: 2, seeds: 1}", "{mixtures: 0}")
    text = text.replace("validation: {mixtures: 4, seeds: 2}", SHORT + final)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (pico / "recipe.yaml").write_text(text)
    return pico / "recipe.yaml"


def test_the_final_run_goes_on_from_the_merge_of_its_mixture(
    pico: Path, tmp_path: Path, mixwise: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []  # mixtures of which tools hear that the study is for them

    def run_of(_: TrackedStudy, kind: str, key: str, mixture: Mixture, seed: int) -> None:
        told.extend([str(mixture)] * (kind == "final"))

    monkeypatch.setattr(TrackedStudy, "run_of", run_of)
    recipe = write(pico, WARM)
    study = tmp_path / "study"
    code, out, err = mixwise("run", recipe, "--study", study, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert json.loads((study / "final.json").read_text())["start"] == "merged"
    assert set(told) == {str(Mixture(tuple(found["mixture"]), tuple(found["mixture"].values())))}
    shares = ",".join(f"{name}={share!r}" for name, share in found["mixture"].items() if share)
    assert mixwise("merge", study, "--mixture", shares, "--to", tmp_path / "merged")[0] == 0
    merge = load_file(tmp_path / "merged" / "model.safetensors")
    kept = [load_file(file) for file in study.glob("merged/*/model.safetensors")]
    assert 1 <= len(kept) <= 2  # of the recommendation, and of the uniform one if it is another
    [start] = [t for t in kept if all(torch.equal(t[name], merge[name]) for name in merge)]
    runs = [json.loads(file.read_text()) for file in study.glob("references/*/run.json")]
    assert len(runs) == len(kept)
    ends = [load_file(file) for file in study.glob("references/*/model.safetensors")]
    base = load_file(pico / "base" / "model.safetensors")

    def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
        return sum(float((a[name] - b[name]).square().sum()) for name in base) ** 0.5

    nearest = min(distance(end, start) for end in ends)
    assert 0 < nearest < min(distance(end, base) for end in ends)
    code, again, err = mixwise("run", recipe, "--study", study, "--json")
    assert code == 0, err
    assert json.loads(again)["outcome"] == found["outcome"]
    assert len(list(study.glob("references/*/run.json"))) == len(runs)


def test_an_adapter_has_no_warm_start(pico: Path) -> None:
    recipe = write(pico, WARM, **{"training: {": "training: {method: lora, "})
    with pytest.raises(RecipeError, match=r"`final.start`: an adapter belongs to the base"):
        load_recipe(recipe)


def test_functions_of_the_user_have_no_warm_start() -> None:
    with pytest.raises(RecipeError, match=r"`final.start`: a function of yours trains from the"):
        parse_settings({"horizon_examples": 10, "final": {"start": "merged"}}, "settings")
