from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.command_line import Cli
from tests.conftest import sentences, write_texts


def test_scores_are_found_again_only_if_nothing_changed(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    from safetensors.torch import load_file, save_file

    study = Path(shutil.copytree(finished, tmp_path / "study"))
    before = json.loads(mixwise("score", study, "--mixture", "alpha=1", "--json")[1])[0]
    path = study / "experts" / "alpha" / "model.safetensors"
    whole, tensors = path.read_bytes(), load_file(path)
    save_file({k: t * 1.01 for k, t in tensors.items()}, path, metadata={"format": "pt"})
    code, _, err = mixwise("score", study, "--mixture", "alpha=1")
    assert code == 1
    assert "alpha/model.safetensors: is not the file that was trained" in err
    path.write_bytes(whole)
    after = json.loads(mixwise("score", study, "--mixture", "alpha=1", "--json")[1])[0]
    assert after["metrics"] == before["metrics"]


def test_search_prints_what_to_expect_and_how_far_to_trust_it(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    code, out, _ = mixwise("search", study)
    content = json.loads((study / "recommendation.json").read_text())
    assert code == 0
    assert f"should reach an objective of {content['reference']['objective']:.2f} (95 % " in out
    assert f"{content['proxy']['metrics']['mixed/loss']:.3f} by the proxy" in out
    assert f"Trust: {content['trust']['word'].upper()} (measured" in out
    assert "Calibrated by the other references" in out


def test_results_of_other_data_are_not_taken_for_these(
    finished: Path, pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    assert mixwise("run", pico / "recipe.yaml", "--study", study)[0] == 0
    write_texts(pico / "mixed.jsonl", sentences("beta", 5, 12))
    code, out, _ = mixwise("search", study, "--json")
    content = json.loads(out)
    assert code == 0
    assert (content["outcome"], content["fidelity"]) == (None, None)
    code, _, err = mixwise("run", pico / "recipe.yaml", "--study", study)
    assert code == 0, err
    assert json.loads((study / "recommendation.json").read_text())["outcome"] is not None
