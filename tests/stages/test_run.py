from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.command_line import RUN, Cli, recommended_bytes, replace
from transformers import AutoModelForCausalLM

ONE_RUN = """\
base: base
domains:
  alpha: {files: alpha.jsonl}
  beta: {files: beta.jsonl}
  gamma: {files: gamma.jsonl}
horizon_tokens: 1024
budget: 1.5
sequence_length: 16
evaluation: {max_sequences: 8, batch_sequences: 4}
training: {learning_rate: 3.0e-3, batch_sequences: 4, warmup_steps: 1, device: cpu}
engine: {workers: 1, threads: 1}
"""


def test_an_answer_costs_its_budget_and_is_verified_when_asked(
    pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    (pico / "one.yaml").write_text(ONE_RUN)
    command = ("run", pico / "one.yaml", "--study", tmp_path / "study", "--json")
    code, out, err = mixwise(*command)
    assert code == 0, err
    plain = json.loads(out)
    assert plain["cost"]["price"] == 3 * 8 / 16  # three experts of half the final run
    assert plain["cost"]["trained_tokens"]["experts"] == 3 * 512
    assert plain["reference"]["n_references"] == 0
    assert "no reference was trained here" in plain["reference"]["covers"]
    assert plain["trust"]["basis"] == "predicted"
    horizons = plain["horizons"]
    assert (horizons["expert_tokens"], horizons["run_tokens"]) == (512, 1024)
    assert horizons["answers"] == ["predictions"]
    assert [point["steps"] for point in horizons["path"]] == [3, 5, 8]
    assert len(list(tmp_path.glob("study/references/*/run.json"))) == 1  # the final run
    page = (tmp_path / "study" / "report.html").read_text()
    assert "Experts read 512 tokens each, the final model 1,024" in page
    code, out, err = mixwise("status", tmp_path / "study", "--json")
    status = json.loads(out)
    assert status["candidates"] == plain["cost"]["candidates_scored"]  # though no merge was made
    assert status["best_so_far"]["objective"] >= plain["proxy"]["objective"] - 1e-9
    times = {p: p.stat().st_mtime_ns for p in tmp_path.glob("study/experts/*/model.safetensors")}
    code, out, err = mixwise(*command, "--verify")
    assert code == 0, err
    verified = json.loads(out)
    assert verified["reference"]["n_references"] == 12
    assert verified["cost"]["runs"]["validation"] == 24
    assert verified["outcome"]["margins"]
    assert times == {p: p.stat().st_mtime_ns for p in times}  # no expert was trained again
    code, out, err = mixwise("search", tmp_path / "study", "--json")  # the study remembers
    assert code == 0, err
    assert json.loads(out)["reference"]["n_references"] == 12


def test_run_ends_in_a_recommendation_and_a_report(finished: Path) -> None:
    content = json.loads((finished / "recommendation.json").read_text())
    assert sum(content["mixture"].values()) == pytest.approx(1)
    low, high = content["proxy"]["interval_95"]
    assert low <= content["proxy"]["objective"] <= high
    assert content["fidelity"]["n_mixtures"] == 4
    assert content["outcome"]["word"] in {"won", "tied", "lost"}
    runs = content["cost"]["runs"]
    assert (runs["experts"], runs["validation"]) == (3, 8)
    assert runs["final"] in {10, 12}  # 10 where the recommendation is itself a baseline
    assert 100_000 < (finished / "report.html").stat().st_size < 1_500_000
    leftovers = [p for p in finished.rglob("*") if ".training" in p.parts or "partial" in p.name]
    assert not leftovers


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("learning_rate: 4.0e-3", "trained with other data or settings"),
        ("learning_rate: fast", "input should be a valid number"),
    ],
)
def test_a_refused_run_leaves_the_study_as_it_was(
    new: str, expected: str, finished: Path, pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    replace("learning_rate: 3.0e-3", new)(pico)
    code, _, err = mixwise("run", pico / "recipe.yaml", "--study", study)
    assert code == 1
    assert expected in err
    assert (study / "recipe.yaml").read_text() == (finished / "recipe.yaml").read_text()
    assert mixwise("score", study, "--mixture", "alpha=1")[0] == 0


def test_experts_that_the_user_brings_are_not_trained(
    finished: Path, pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    for name in ("alpha", "beta", "gamma"):
        expert = finished / "experts" / name
        replace(
            f"{name}: {{files: {name}.jsonl}}", f"{name}: {{files: {name}.jsonl, expert: {expert}}}"
        )(pico)
    replace("validation: {mixtures: 4, seeds: 2}", "validation: {mixtures: 0}")(pico)
    replace("engine:", "final: {train: false}\nengine:")(pico)
    code, _, err = mixwise("run", pico / "recipe.yaml", "--study", tmp_path / "s", "--json")
    assert code == 0, err
    assert not (tmp_path / "s" / "experts").exists()
    found, theirs = (
        json.loads((study / "search.json").read_text()) for study in (tmp_path / "s", finished)
    )
    assert found["best"] == theirs["best"]


def test_lora_study_runs_to_its_end(pico: Path, tmp_path: Path, mixwise: Cli) -> None:
    replace("training: {", "training: {method: lora, lora: {rank: 2, alpha: 4}, ")(pico)
    replace("calibration: {mixtures: 2, seeds: 1}", "calibration: {mixtures: 1, seeds: 1}")(pico)
    replace("validation: {mixtures: 4, seeds: 2}", "validation: {mixtures: 0}")(pico)
    replace("engine:", "final: {seeds: 2, baselines: [uniform, available]}\nengine:")(pico)
    code, out, err = mixwise("run", pico / "recipe.yaml", "--study", tmp_path / "s", "--json")
    assert code == 0, err
    assert (tmp_path / "s" / "experts" / "beta" / "adapter_model.safetensors").is_file()
    assert json.loads(out)["outcome"]["word"] in {"won", "tied", "lost"}


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")  # in the run's own snapshots
def test_adapters_of_an_untied_head_are_trained_and_merged(
    pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    from peft import PeftModel
    from transformers import LlamaConfig

    config = LlamaConfig.from_pretrained(pico / "base")
    config.tie_word_embeddings = False
    AutoModelForCausalLM.from_config(config).save_pretrained(pico / "base")
    lora = "method: lora, lora: {rank: 2, alpha: 4, target_modules: [q_proj, lm_head]}"
    replace("training: {", f"training: {{{lora}, ")(pico)
    replace("validation: {mixtures: 4, seeds: 2}", "validation: {mixtures: 0}")(pico)
    replace("calibration: {mixtures: 2, seeds: 1}", "calibration: {mixtures: 0}")(pico)
    replace("engine:", "final: {train: false}\nengine:")(pico)
    study = tmp_path / "s"
    code, _, err = mixwise("run", pico / "recipe.yaml", "--study", study)
    assert code == 0, err
    _, out, _ = mixwise("score", study, "--mixture", "beta=1", "--json")
    model = AutoModelForCausalLM.from_pretrained(pico / "base")
    expert = PeftModel.from_pretrained(model, study / "experts" / "beta").eval()
    ids = torch.from_numpy(np.load(study / "heldout" / "mixed.npy").astype(np.int64))
    with torch.no_grad():
        own = float(expert(input_ids=ids, labels=ids).loss)
    assert json.loads(out)[0]["metrics"]["mixed/loss"] == pytest.approx(own, abs=1e-5)


@pytest.mark.parametrize("method", ["subsets", "mergemix"])
def test_papers_methods_run(
    method: str, finished: Path, pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    replace("validation: {mixtures: 4, seeds: 2}", "validation: {mixtures: 0}")(pico)
    replace("engine:", f"final: {{train: false}}\nsearch: {{method: {method}}}\nengine:")(pico)
    replace("calibration: {mixtures: 2, seeds: 1}", "calibration: {mixtures: 0}")(pico)
    code, out, err = mixwise("run", pico / "recipe.yaml", "--study", study, "--json")
    assert code == 0, err
    scored = json.loads(out)["cost"]["candidates_scored"]
    assert scored == {"subsets": 7, "mergemix": 40}[method]


def kill_and_restart(recipe: Path, study: Path, delays: list[float]) -> None:
    command = [*RUN, str(recipe), "--study", str(study)]
    for delay in delays:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    subprocess.run(command, check=True, capture_output=True)


def test_killed_and_restarted_study_ends_in_the_same_recommendation(
    finished: Path, pico_source: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    kill_and_restart(pico_source / "recipe.yaml", study, [14.0])
    assert recommended_bytes(study) == recommended_bytes(finished)


@pytest.mark.slow
def test_ten_kills_end_in_the_same_recommendation(
    finished: Path, pico_source: Path, tmp_path: Path
) -> None:
    delays = np.random.default_rng(int(time.time())).uniform(4, 16, 10).tolist()
    kill_and_restart(pico_source / "recipe.yaml", tmp_path / "study", delays)
    assert recommended_bytes(tmp_path / "study") == recommended_bytes(finished)
