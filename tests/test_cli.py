from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import sentences, write_rows, write_texts
from transformers import AutoModelForCausalLM

from mixwise.files import seal

Cli = Callable[..., tuple[int, str, str]]
RUN = [sys.executable, "-m", "mixwise.cli", "run"]


def replace(old: str, new: str) -> Callable[[Path], None]:
    def breaking(folder: Path) -> None:
        recipe = folder / "recipe.yaml"
        text = recipe.read_text()
        assert old in text
        recipe.write_text(text.replace(old, new))

    return breaking


def edit_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def empty(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text("") and None


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def break_line(folder: Path) -> None:
    with (folder / "beta.jsonl").open("a") as file:
        file.write('{"text": "half\n')


def lose_field(folder: Path) -> None:
    with (folder / "gamma.jsonl").open("a") as file:
        file.write('{"txet": "un deux"}\n')


def leak(folder: Path) -> None:
    write_texts(folder / "mixed.jsonl", sentences("beta", 0, 60))


def pickle_base(folder: Path) -> None:
    (folder / "base" / "model.safetensors").rename(folder / "base" / "pytorch_model.bin")


def widen_tokenizer(folder: Path) -> None:
    path = folder / "base" / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["vocab"]["zzzz"] = 5000
    path.write_text(json.dumps(content))


def bring_other_expert(folder: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig.from_pretrained(folder / "base")
    config.intermediate_size = 48
    LlamaForCausalLM(config).save_pretrained(folder / "odd")
    replace("alpha: {files: alpha.jsonl}", "alpha: {files: alpha.jsonl, expert: odd}")(folder)


def bad_answer(folder: Path) -> None:
    write_rows(folder / "quiz.jsonl", [{"prompt": "a", "choices": ["b", "c"], "answer": 2}])


def only_one_document(folder: Path) -> None:
    write_texts(folder / "alpha.jsonl", ["a b c " * 400])


def make_binary(folder: Path) -> None:
    (folder / "alpha.jsonl").write_bytes(b"\xff\xfe\x00\x81" * 50)


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "unknown key": (
        replace("horizon_tokens", "horizont_tokens"),
        "`horizont_tokens`: unknown key: did you mean `horizon_tokens`",
    ),
    "not YAML": (replace("base: base", "base: [base"), "not valid YAML"),
    "wrong type": (
        replace("learning_rate: 3.0e-3", "learning_rate: fast"),
        "`training.learning_rate`: input should be a valid number",
    ),
    "domain named twice": (
        replace("beta: {files: beta.jsonl}", "alpha: {files: beta.jsonl}"),
        "the key `alpha` stands twice",
    ),
    "names that differ in case": (
        replace("mixed: {files", "Alpha: {files"),
        "domains and evaluation sets need different names",
    ),
    "missing file": (remove("beta.jsonl"), "`beta.jsonl` matches no file"),
    "empty file": (empty("gamma.jsonl"), "gamma.jsonl is empty"),
    "broken JSON line": (break_line, r"beta.jsonl:61: broken JSON"),
    "missing field": (lose_field, "gamma.jsonl:61: the field `text` is missing"),
    "binary file": (make_binary, "its content is UTF-16"),
    "too few tokens": (
        replace("horizon_tokens: 256", "horizon_tokens: 1000000"),
        "more than `search.max_repetition`",
    ),
    "one document": (only_one_document, "too few to hold some out"),
    "held-out rows in training": (
        leak,
        "held-out text(s) also stand in the training rows of `beta`",
    ),
    "question without answer": (bad_answer, "quiz.jsonl:1: `answer` must be the index of a choice"),
    "no such base": (replace("base: base", "base: ./nowhere"), "is no folder: correct the path"),
    "pickled base": (pickle_base, "needs safetensors, but it holds `pytorch_model.bin`"),
    "tokenizer and embedding disagree": (widen_tokenizer, "but the embedding only 320 rows"),
    "bounds that no mixture satisfies": (
        replace(
            "validation:",
            "search: {bounds: {alpha: {max_share: 0.1}, beta: {max_share: 0.2}, "
            "gamma: {max_share: 0.3}}}\nvalidation:",
        ),
        "`max_share` of the domains must add up to at least 1, but they add up to 0.6",
    ),
    "budget too small": (
        replace("validation:", "search: {method: lattice, budget: 3}\nvalidation:"),
        "`search.budget` must be at least 7",
    ),
    "metric of an unknown set": (
        replace("{set: mixed, measure: loss}", "{set: mixt, measure: loss}"),
        "`mixt` is neither a domain nor an evaluation set: did you mean `mixed`",
    ),
    "measure of the wrong kind": (
        replace("{set: mixed, measure: loss}", "{set: quiz, measure: loss}"),
        "`loss` cannot be measured on the choice set `quiz`",
    ),
    "sequence longer than the context": (
        replace(
            "horizon_tokens: 256\nsequence_length: 16", "horizon_tokens: 400\nsequence_length: 100"
        ),
        "must be at most 64, the context of the base",
    ),
    "weights and configuration of the base differ": (
        lambda folder: edit_text(
            folder / "base" / "config.json", '"num_hidden_layers": 2', '"num_hidden_layers": 3'
        ),
        "is missing: use weights and a config.json that belong together",
    ),
    "LoRA targets that match nothing": (
        replace("training: {", "training: {method: lora, lora: {target_modules: [nope]}, "),
        "`training.lora.target_modules`",
    ),
    "LoRA on a tied embedding": (
        replace("training: {", "training: {method: lora, lora: {target_modules: [lm_head]}, "),
        "is used in another place too (tied)",
    ),
    "no room for references": (
        replace(
            "validation:",
            "search: {bounds: {alpha: {min_share: 1}}}\nvalidation:",
        ),
        "`validation.mixtures` is 4, but there is room for only",
    ),
    "second moments from SGD": (
        replace("training: {", "merge: {rule: optimiser-aware}\ntraining: {optimizer: sgd, "),
        "`training.optimizer`: merge rule `optimiser-aware` needs the second moments of AdamW, "
        "but got sgd: set it to adamw",
    ),
    "second moments of adapters": (
        replace("training: {", "merge: {rule: fisher}\ntraining: {method: lora, "),
        "`training.method`: merge rule `fisher` needs the second moments of AdamW",
    ),
    "trajectories that are not kept": (
        replace("training: {", "merge: {rule: blend}\ntraining: {"),
        "`training.trajectory_checkpoints`: merge rule `blend` needs checkpoints along every "
        "expert's run, but got 0: set it to 1 or more",
    ),
    "expert of another shape": (
        bring_other_expert,
        "`intermediate_size` of config.json must be that of the base, 32, under which merges are",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_input_is_named_before_anything_is_trained(
    name: str, pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    breaking, expected = BROKEN[name]
    breaking(pico)
    for command in (["check"], ["run"]):
        code, out, err = mixwise(*command, pico / "recipe.yaml", "--study", tmp_path / "study")
        assert code == 1, out
        assert expected in err
        assert "Traceback" not in err
        assert all(line.startswith("mixwise: error: ") for line in err.splitlines())
    assert not list(tmp_path.glob("study/experts/*"))
    assert not list(tmp_path.glob("study/references/*"))


def test_check_names_every_broken_domain_at_once(pico: Path, mixwise: Cli) -> None:
    break_line(pico)
    lose_field(pico)
    code, _, err = mixwise("check", pico / "recipe.yaml")
    assert code == 1
    assert "beta.jsonl:61" in err
    assert "gamma.jsonl:61" in err


def test_check_prints_the_plan_and_trains_nothing(pico: Path, tmp_path: Path, mixwise: Cli) -> None:
    code, out, err = mixwise("check", pico / "recipe.yaml", "--study", tmp_path / "s", "--json")
    plan = json.loads(out)["plan"]
    assert code == 0, err
    assert (plan["n_experts"], plan["n_references"], plan["n_final"]) == (3, 10, 12)
    assert plan["run_tokens"] == 256
    assert plan["seconds"] > 0
    assert [domain["name"] for domain in plan["domains"]] == ["alpha", "beta", "gamma"]
    assert not (tmp_path / "s").exists()


def test_usage_error_exits_with_two(mixwise: Cli) -> None:
    assert mixwise("score")[0] == 2
    assert mixwise("nonsense")[0] == 2


def test_commands_on_no_study_say_so(tmp_path: Path, mixwise: Cli) -> None:
    code, out, err = mixwise("search", tmp_path, "--json")
    assert code == 1
    assert "no study here" in err
    assert json.loads(out)["error"] == "StudyError"


def test_init_writes_a_recipe_over_the_files_it_finds(pico: Path, mixwise: Cli) -> None:
    from mixwise.recipe import load_recipe

    (pico / "recipe.yaml").unlink()
    assert mixwise("init", pico)[0] == 0
    recipe = load_recipe(pico / "recipe.yaml")
    assert recipe.base == "base"
    assert {"alpha", "beta", "gamma"} <= set(recipe.domains)
    code, _, err = mixwise("init", pico)
    assert code == 1
    assert "exists already" in err


@pytest.fixture(scope="module")
def finished(pico_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that has run to its end, uninterrupted."""
    study = tmp_path_factory.mktemp("finished") / "study"
    command = [*RUN, str(pico_source / "recipe.yaml"), "--study", str(study)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (study.parent / "stderr.txt").write_text(done.stderr)
    return study


def test_run_without_a_terminal_says_in_lines_what_it_does(finished: Path) -> None:
    err = (finished.parent / "stderr.txt").read_text().splitlines()
    lines = [line for line in err if not line.startswith("mixwise: warning: ")]
    assert all(re.match(r"\d\d:\d\d:\d\d \S", line) for line in lines), lines
    assert "estimated time about" in lines[0]
    for k, name in enumerate(("experts", "search", "calibration", "validation"), start=1):
        told = [line[9:] for line in lines if f"stage {k} of 6: {name}: " in line]
        assert told[0] == f"stage {k} of 6: {name}: begins"
        assert re.match(rf"stage {k} of 6: {name}: done in .*: .*; .* of about .* gone", told[-1])
    assert "finished in" in lines[-1]


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
    assert (finished / "report.html").stat().st_size > 1_000_000
    leftovers = [p for p in finished.rglob("*") if ".training" in p.parts or "partial" in p.name]
    assert not leftovers


def test_proxy_score_equals_a_plain_script(finished: Path, mixwise: Cli) -> None:
    shares = {"alpha": 0.5, "beta": 0.2, "gamma": 0.3}
    text = ",".join(f"{name}={share}" for name, share in shares.items())
    code, out, _ = mixwise("score", finished, "--mixture", text, "--json")
    assert code == 0
    [score] = json.loads(out)
    model = AutoModelForCausalLM.from_pretrained(finished / "experts" / "alpha")
    states = {
        name: AutoModelForCausalLM.from_pretrained(finished / "experts" / name).state_dict()
        for name in shares
    }
    model.load_state_dict(
        {key: sum(shares[n] * states[n][key] for n in shares) for key in model.state_dict()}
    )
    for name in (*shares, "mixed"):
        ids = torch.from_numpy(np.load(finished / "heldout" / f"{name}.npy").astype(np.int64))
        with torch.no_grad():
            loss = float(model.eval()(input_ids=ids, labels=ids).loss)
        assert score["metrics"][f"{name}/loss"] == pytest.approx(loss, abs=1e-5)


def test_corner_score_is_the_experts_own(finished: Path, mixwise: Cli) -> None:
    code, out, _ = mixwise("score", finished, "--mixture", "beta=1", "--json")
    assert code == 0
    model = AutoModelForCausalLM.from_pretrained(finished / "experts" / "beta").eval()
    from mixwise.evaluation.likelihood.rows import Row, batch_nats, make_batches

    ids = np.load(finished / "heldout" / "mixed.npy").astype(np.int64)
    rows = [Row.ending_in(row, n_scored=len(row) - 1) for row in ids]
    with torch.no_grad():
        nats = sum(float(batch_nats(model, b).sum()) for b in make_batches(rows, 4, "cpu"))
    own = nats / (ids.shape[0] * (ids.shape[1] - 1))
    assert json.loads(out)[0]["metrics"]["mixed/loss"] == pytest.approx(own, abs=1e-12)


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


def test_verify_names_what_is_wrong_and_exits_with_1(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    code, out, _ = mixwise("verify", study)
    assert code == 0, out
    assert " wrong" not in out
    (study / "experts" / "alpha" / "config.json").write_text("{}")
    code, out, _ = mixwise("verify", study, "--json")
    assert code == 1
    [wrong] = [row for row in json.loads(out)["findings"] if row["state"] == "wrong"]
    assert "config.json: is not the file that was trained" in wrong["advice"]


def test_score_tells_slopes_and_curvature(finished: Path, mixwise: Cli) -> None:
    arguments = ["score", finished, "--mixture", "alpha=0.5,beta=0.5", "--derivatives", "hessian"]
    code, out, err = mixwise(*arguments, "--per-example", "--json")
    assert code == 0, err
    [score] = json.loads(out)
    assert "quiz/accuracy" not in score["slopes"]
    for metric, slopes in score["slopes"].items():
        assert np.shape(slopes) == (3,), metric
        assert np.shape(score["hessian"][metric]) == (3, 3)
        per_example = np.array(score["example_slopes"][metric])
        assert per_example.shape[1] == 3
        assert np.shape(score["example_hessians"][metric]) == (len(per_example), 3, 3)
    code, out, _ = mixwise(*arguments)
    assert "per share: alpha" in out


def test_slopes_of_a_reference_are_refused(finished: Path, mixwise: Cli) -> None:
    arguments = ["score", finished, "--mixture", "alpha=1", "--derivatives", "slopes"]
    code, _, err = mixwise(*arguments, "--answer", "reference")
    assert code == 1
    assert "a trained model has no slopes" in err


def test_reference_score_trains_with_every_seed(finished: Path, mixwise: Cli) -> None:
    arguments = ["score", finished, "--mixture", "alpha=0.5,beta=0.5", "--answer", "reference"]
    code, out, _ = mixwise(*arguments, "--json")
    assert code == 0
    assert json.loads(out)[0]["seeds"] == [1, 2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alpha=0.5,delta=0.5", "`delta` is not a domain"),
        ("alpha=0.5,beta=0.4", "add up to 0.9"),
        ("alpha=x", "must be a number"),
    ],
)
def test_bad_mixtures_are_refused(text: str, expected: str, finished: Path, mixwise: Cli) -> None:
    code, _, err = mixwise("score", finished, "--mixture", text)
    assert code == 1
    assert expected in err


def test_stages_one_by_one_give_the_same_as_run(
    finished: Path, pico_source: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    for name in ("recommendation.json", "search.json", "validation.json", "final.json"):
        (study / name).unlink()
    for stage in ("experts", "search", "validate", "train"):
        code, _, err = mixwise(stage, study)
        assert code == 0, err
    assert _bytes(study) == _bytes(finished)


def test_search_prints_what_to_expect_and_how_far_to_trust_it(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    code, out, _ = mixwise("search", study)
    content = json.loads((study / "recommendation.json").read_text())
    assert code == 0
    assert f"should reach {content['reference']['objective']:.2f} (95 % " in out
    assert f"Trust: {content['trust']['word'].upper()} (measured" in out
    assert "Calibrated by the other references" in out


def test_diagnose_prints_geometry_causes_and_trust(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    code, out, _ = mixwise("diagnose", study)
    assert code == 0
    for part in ("Task vectors", "The same by block", "Predicted causes", "Trust:", "Because:"):
        assert part in out
    assert mixwise("report", study)[0] == 0
    assert "not diagnosed yet" not in (study / "report.html").read_text()
    assert "not diagnosed yet" in (finished / "report.html").read_text()


def test_export_hands_over_shares_and_stream(finished: Path, mixwise: Cli) -> None:
    code, out, _ = mixwise("export", finished, "--json")
    facts = json.loads(out)
    assert code == 0
    assert sum(facts["tokens"].values()) == 256
    code, out, _ = mixwise("export", finished, "--format", "stream", "--json")
    lines = Path(json.loads(out)["file"]).read_text().splitlines()
    assert len(lines) == 16
    assert all(len(json.loads(line)["input_ids"]) == 16 for line in lines)


def test_diagnose_shows_task_vectors(finished: Path, mixwise: Cli) -> None:
    code, out, _ = mixwise("diagnose", finished, "--json")
    geometry = json.loads(out)["geometry"]
    assert code == 0
    assert all(size > 0 for size in geometry["relative_sizes"])
    assert [row[i] for i, row in enumerate(geometry["cosines"])] == pytest.approx([1, 1, 1])


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


def test_units_of_an_image_classifier(tmp_path: Path, mixwise: Cli) -> None:
    from transformers import ResNetConfig, ResNetForImageClassification

    torch.manual_seed(0)
    sizes = {"embedding_size": 4, "hidden_sizes": [4, 6], "depths": [1, 1]}
    config = ResNetConfig(**sizes, layer_type="basic", num_labels=3)
    ResNetForImageClassification(config).save_pretrained(tmp_path / "classifier")
    images = tmp_path / "images.npy"
    np.save(images, np.random.default_rng(0).normal(size=(20, 3, 32, 32)))
    arguments = ["units", "--classifier", tmp_path / "classifier", "--images"]
    code, out, err = mixwise(*arguments, images, "--json")
    assert code == 0, err
    [row] = json.loads(out)["models"]
    assert row["n_predictions"] == 20
    assert len(row["layers"]) == 6
    np.save(images, np.zeros((20, 32, 32)))
    code, _, err = mixwise(*arguments, images)
    assert code == 1
    assert "must have shape (n, channels, height, width), but got (20, 32, 32)" in err
    code, _, err = mixwise(*arguments, tmp_path / "none.npy")
    assert code == 1
    assert "none.npy: cannot be read" in err
    (tmp_path / "classifier" / "model.safetensors").unlink()
    code, _, err = mixwise(*arguments, images)
    assert code == 1
    assert "the classifier cannot be loaded" in err


def test_units_wants_a_study_or_a_classifier(finished: Path, mixwise: Cli) -> None:
    assert mixwise("units")[0] == 2
    assert mixwise("units", "--classifier", finished)[0] == 2
    assert mixwise("units", finished, "--images", "x.npy")[0] == 2


def test_diagnose_tells_what_precision_costs(finished: Path, mixwise: Cli) -> None:
    code, out, _ = mixwise("diagnose", finished, "--json")
    precision = json.loads(out)["precision"]
    assert code == 0
    assert [stored["domain"] for stored in precision["stored"]] == ["alpha", "beta", "gamma"]
    assert all(stored["relative_error"] < 1e-6 for stored in precision["stored"])
    for metric in ("mixed/loss", "alpha/bits_per_byte"):
        score = precision["scores"][metric]
        assert abs(score["error"]) < 1e-4 * abs(score["effect"])
    code, out, _ = mixwise("diagnose", finished)
    assert "float32" in out
    assert "of its effect" in out


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


def test_results_of_other_data_are_not_taken_for_these(
    pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = tmp_path / "study"
    assert mixwise("run", pico / "recipe.yaml", "--study", study)[0] == 0
    write_texts(pico / "mixed.jsonl", sentences("beta", 5, 12))
    code, out, _ = mixwise("search", study, "--json")
    content = json.loads(out)
    assert code == 0
    assert (content["outcome"], content["fidelity"]) == (None, None)
    code, _, err = mixwise("run", pico / "recipe.yaml", "--study", study)
    assert code == 0, err
    assert json.loads((study / "recommendation.json").read_text())["outcome"] is not None


def test_a_changed_configuration_changes_the_fingerprint_of_the_base(pico: Path) -> None:
    from mixwise.models.checkpoint import open_checkpoint

    before = open_checkpoint(pico / "base").fingerprint
    config = pico / "base" / "config.json"
    config.write_text(config.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 0.5'))
    assert open_checkpoint(pico / "base").fingerprint != before


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
    code, out, err = mixwise("run", pico / "recipe.yaml", "--study", tmp_path / "s", "--json")
    assert code == 0, err
    assert (tmp_path / "s" / "experts" / "beta" / "adapter_model.safetensors").is_file()
    assert json.loads(out)["outcome"]["word"] in {"won", "tied", "lost"}


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")  # in the run's own snapshots
def test_adapters_of_an_untied_head_are_trained_and_merged(
    pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    import torch
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


def test_check_warns_of_experts_whose_precision_lost_what_they_learned(
    finished: Path, pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    def save_short(folder: Path, moved: Path | None) -> None:
        """The base in bfloat16, or an expert that went a thousandth of its way, in bfloat16."""
        base = load_file(pico / "base" / "model.safetensors")
        there = load_file(moved / "model.safetensors") if moved else base
        tensors = {k: (t + 0.001 * (there[k] - t)).to(torch.bfloat16) for k, t in base.items()}
        if moved is not None:
            shutil.copytree(pico / "base", folder)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    for name in ("alpha", "beta", "gamma"):
        save_short(tmp_path / name, finished / "experts" / name)
        entry = f"{{files: {name}.jsonl, expert: {tmp_path / name}}}"
        replace(f"{name}: {{files: {name}.jsonl}}", f"{name}: {entry}")(pico)
    save_short(pico / "base", None)
    code, out, err = mixwise("check", pico / "recipe.yaml", "--json")
    assert code == 0, err
    warnings = [w for w in json.loads(out)["warnings"] if "rounding noise" in w]
    assert len(warnings) == 3
    assert "float32 master weights" in warnings[0]


@pytest.mark.parametrize("method", ["subsets", "mergemix"])
def test_papers_methods_run(
    method: str, finished: Path, pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    replace("validation:", f"search: {{method: {method}}}\nvalidation:")(pico)
    replace("engine:", "final: {train: false}\nengine:")(pico)
    replace("calibration: {mixtures: 2, seeds: 1}", "calibration: {mixtures: 0}")(pico)
    code, out, err = mixwise("run", pico / "recipe.yaml", "--study", study, "--json")
    assert code == 0, err
    scored = json.loads(out)["cost"]["candidates_scored"]
    assert scored == {"subsets": 7, "mergemix": 40}[method]


def test_second_process_on_one_study_is_refused(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    from mixwise.study.folder import StudyFolder

    study = Path(shutil.copytree(finished, tmp_path / "study"))
    with StudyFolder.open(study).lock():
        code, _, err = mixwise("search", study)
    assert code == 1
    assert "another mixwise" in err


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_study_is_read_while_another_process_works_in_it(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    from mixwise.study.folder import StudyFolder

    study = Path(shutil.copytree(finished, tmp_path / "study"))
    corner = json.loads(mixwise("score", study, "--mixture", "alpha=1", "--json")[1])
    writing = StudyFolder.open(study).open_ledger()  # its write-ahead log lies beside it
    with StudyFolder.open(study).lock():
        before = _files(study)
        code, out, err = mixwise("status", study, "--json")
        assert code == 0, err
        assert json.loads(out)["process"] == str(os.getpid())
        code, out, err = mixwise("score", study, "--mixture", "alpha=1", "--json")
        assert (code, json.loads(out)) == (0, corner), err
        assert _files(study) == before
        assert mixwise("report", study)[0] == 0
        assert mixwise("export", study)[0] == 0
        assert mixwise("export", study, "--format", "stream")[0] == 0
        code, _, err = mixwise("score", study, "--mixture", "alpha=0.9,beta=0.1")
        assert code == 1
        assert "another mixwise" in err
        assert "the scores are not all known yet" in err
    writing.close()


def test_status_says_how_far_a_study_is(finished: Path, tmp_path: Path, mixwise: Cli) -> None:
    code, out, err = mixwise("status", finished, "--json")
    assert code == 0, err
    content = json.loads(out)
    assert (content["stage"], content["process"]) == ("finished", None)
    assert content["experts"] == {"done": 3, "total": 3}
    n_references = len(list(finished.glob("references/*/run.json")))
    assert content["references"] == {"done": n_references, "total": 22}  # other tests train some
    candidates = json.loads((finished / "search.json").read_text())["candidates"]
    best = max(row["score"]["objective"] for row in candidates)
    assert content["best_so_far"]["objective"] >= best - 1e-12
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    (study / "experts" / "beta" / "run.json").unlink()
    shutil.rmtree(study / "references")
    code, out, _ = mixwise("status", study)
    assert code == 0
    assert "no process works in it" in out
    assert "Stage:       experts" in out
    assert "Experts:     2 of 3 trained" in out


def test_a_study_is_read_where_nothing_can_be_written(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    with _mounted_read_only(study):
        assert mixwise("status", study)[0] == 0
        code, _, err = mixwise("score", study, "--mixture", "alpha=1", "--json")
        assert code == 0, err
        for command in ("report", "export"):
            code, _, err = mixwise(command, study)
            assert code == 1
            assert "Read-only file system" in err
            assert "--output" in err
            assert mixwise(command, study, "--output", tmp_path / command)[0] == 0
            assert (tmp_path / command).stat().st_size > 100
        code, _, err = mixwise("score", study, "--mixture", "alpha=0.9,beta=0.1")
        assert code == 1
        assert "the scores are not all known yet" in err


@contextmanager
def _mounted_read_only(folder: Path) -> Iterator[None]:
    """The superuser writes whatever the permissions; only a mount keeps it from that."""
    bind = subprocess.run(["mount", "--bind", folder, folder], capture_output=True, check=False)
    if bind.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_shares_are_exported_without_base_and_data(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    note = json.loads((study / "study.json").read_text())
    note["recipe_folder"] = str(tmp_path / "gone")
    (study / "study.json").write_text(seal(note))
    code, out, err = mixwise("export", study, "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert sum(facts["tokens"].values()) == facts["horizon_tokens"] == 256
    for command in (["search", study], ["export", study, "--format", "stream"]):
        code, _, err = mixwise(*command)
        assert code == 1
        assert "study.json: `recipe_folder` must be the folder of the recipe" in err
    edit_text(study / "recipe.yaml", "learning_rate: 3.0e-3", "learning_rate: 4.0e-3")
    code, _, err = mixwise("export", study)
    assert code == 1
    assert "made from another recipe" in err


def test_a_study_that_has_just_begun_says_so(tmp_path: Path, mixwise: Cli) -> None:
    from mixwise.study.folder import StudyFolder

    study = StudyFolder(tmp_path, tmp_path)
    with study.lock():
        for command in ("report", "export", "status", "search"):
            code, _, err = mixwise(command, tmp_path)
            assert code == 1
            assert f"a run has just begun here (process {os.getpid()})" in err
    code, _, err = mixwise("status", tmp_path)
    assert code == 1
    assert "ended before its recipe was checked" in err


def test_a_study_that_the_disk_cannot_hold_is_refused(
    pico: Path, mixwise: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(pico)._replace(free=1000)
    monkeypatch.setattr("mixwise.stages.check.shutil.disk_usage", lambda place: full)
    code, _, err = mixwise("check", pico / "recipe.yaml")
    assert code == 1
    assert "the study needs" in err
    assert "but 0.00 GB are free" in err


@pytest.mark.parametrize("command", [["score"], ["nonsense"], ["check", "none.yaml"]])
def test_json_is_one_document_whatever_happens(command: list[str], mixwise: Cli) -> None:
    code, out, err = mixwise(*command, "--json")
    assert code in {1, 2}
    document = json.loads(out)
    assert document["error"] == ("usage" if code == 2 else "RecipeError")
    assert document["problems"]
    assert err


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ZeroDivisionError("by nought"), "ZeroDivisionError", "this is a defect of mixwise"),
        (MemoryError(), "ResourceError", "not enough memory"),
        (OSError(28, "No space left on device", "x"), "ResourceError", "x: cannot be written (the"),
    ],
)
def test_json_is_one_document_for_what_nobody_expected(
    error: Exception,
    kind: str,
    text: str,
    mixwise: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("mixwise.api.load_recipe", fail)
    code, out, err = mixwise("check", tmp_path, "--json")
    document = json.loads(out)
    assert (code, document["error"]) == (1, kind)
    assert text in document["problems"][0]
    assert text in err


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
    kill_and_restart(pico_source / "recipe.yaml", study, [11.0, 13.0, 9.0])
    assert _bytes(study) == _bytes(finished)


@pytest.mark.slow
def test_ten_kills_end_in_the_same_recommendation(
    finished: Path, pico_source: Path, tmp_path: Path
) -> None:
    delays = np.random.default_rng(int(time.time())).uniform(4, 16, 10).tolist()
    kill_and_restart(pico_source / "recipe.yaml", tmp_path / "study", delays)
    assert _bytes(tmp_path / "study") == _bytes(finished)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_a_snapshot_and_says_how_to_resume(
    number: signal.Signals, pico: Path, tmp_path: Path
) -> None:
    """In the middle of a run that would go on for minutes."""
    long = "horizon_tokens: 256000\nsearch: {max_repetition: 1000}"
    replace("horizon_tokens: 256", long)(pico)
    command = [*RUN, str(pico / "recipe.yaml"), "--study", str(tmp_path / "study"), "--json"]
    pipe = subprocess.PIPE
    with (
        _hearing(number),
        subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process,
    ):
        _wait_for(lambda: list(tmp_path.glob("study/experts/*/.training")))
        time.sleep(1)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert "run the same command again: mixwise run" in err
    assert "Traceback" not in err
    assert json.loads(out)["error"] == "stopped"
    assert not list(tmp_path.glob("study/experts/*/run.json"))
    assert list(tmp_path.glob("study/experts/alpha/.training/checkpoint-*/COMPLETE"))


@contextmanager
def _hearing(number: signal.Signals) -> Iterator[None]:
    """Let processes that are started meanwhile hear a signal, even if the tests run in background.

    A shell without job control starts background jobs with the signal ignored, and what is ignored
    is inherited by every process below.
    """
    before = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, before)


def _wait_for(condition: Callable[[], Any]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("waited for two minutes in vain")


def _bytes(study: Path) -> bytes:
    return (study / "recommendation.json").read_bytes()
