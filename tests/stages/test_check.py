from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.command_line import Cli, edit_text, replace
from tests.conftest import sentences, write_rows, write_texts
from tests.study.test_inputs import talk_in


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
    assert (plan["n_experts"], plan["n_calibration"]) == (3, 2)
    assert (plan["n_references"], plan["n_final"]) == (8, 12)
    assert plan["run_tokens"] == 256
    assert plan["seconds"] > 0
    assert [domain["name"] for domain in plan["domains"]] == ["alpha", "beta", "gamma"]
    assert not (tmp_path / "s").exists()


def test_check_shows_rows_with_what_is_learned_and_says_how_they_were_read(
    pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    talk_in(pico)
    arguments = ("check", pico / "recipe.yaml", "--study", tmp_path / "s", "--show", 1)
    code, out, err = mixwise(*arguments)
    assert code == 0, err
    assert "note: `domains.beta`: its fields tell chat records (`messages`)" in out
    assert "note: the chat template marks no answers (`{% generation %}`): they are told by" in out
    assert "beta.jsonl:1; ⟦learned⟧:\n<|user|>\nsay 0<|end|>\n<|assistant|>\n⟦" in out
    code, out, err = mixwise(*arguments, "--json")
    review = json.loads(out)["review"]
    assert code == 0, err
    assert [row["name"] for row in review["rows"]] == ["alpha", "beta", "gamma", "mixed"]
    assert review["counts"][1]["n_rows"] == 60


def test_check_warns_of_experts_whose_precision_lost_what_they_learned(
    finished: Path, pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
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


def test_adapters_of_all_linear_layers_name_them_where_experts_are_joined(
    pico: Path, mixwise: Cli
) -> None:
    from transformers import MixtralConfig, MixtralForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 320}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_local_experts": 2}
    MixtralForCausalLM(MixtralConfig(**sizes, **heads)).save_pretrained(pico / "base")
    recipe = pico / "recipe.yaml"
    edit_text(recipe, "training: {", "training: {method: lora, ")
    code, _, err = mixwise("check", recipe)
    assert code == 1
    assert "give the linear layers, [k_proj, o_proj, q_proj, v_proj], in the place of" in err
    named = "method: lora, lora: {target_modules: [k_proj, o_proj, q_proj, v_proj]}"
    edit_text(recipe, "method: lora", named)
    assert mixwise("check", recipe)[0] == 0
