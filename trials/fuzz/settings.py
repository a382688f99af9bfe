"""Kinds of input that say what is wanted: recipes, configurations of others, mixtures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import yaml

from trials.fuzz.kinds import Kind
from trials.fuzz.mutation import mutate_bytes, mutate_value
from trials.tiny_study import RECIPE

_ROOT = Path(__file__).parents[2]
_ROW = b'{"text": "a"}\n'


def settings_kinds() -> list[Kind]:
    """All of them."""
    rows = {f"{name}.jsonl": _ROW for name in "abc"} | {"own.jinja": b"{{ messages }}"}
    info = {name: {"file_name": f"{name}.jsonl"} for name in "abc"}
    rows |= {f"data/{name}": _ROW for name in rows}
    described = rows | {"data/dataset_info.json": json.dumps(info).encode()}
    configs = [_yaml(each) for each in _CONFIGS]
    return [
        Kind("recipe", "recipe.yaml", _recipes(), _change_yaml, _read_recipe, 60, {}),
        Kind("mergekit", "merge.yaml", _mergekit(), _change_yaml, _read_mergekit, 40, {}),
        Kind("trainer config", "train.yaml", configs, _change_yaml, _read_config, 30, described),
        Kind("dataset_info.json", "data/dataset_info.json", [json.dumps(_INFO).encode()],
             _change_json, _read_config, 15, rows | {"train.yaml": _yaml(_CONFIGS[2])}),
        Kind("mixture", "mixture", _MIXTURES, mutate_bytes, _read_mixture, 120, {}),
        Kind("fit's options", "options", _OPTIONS, mutate_bytes, _read_options, 60, {}),
    ]  # fmt: skip


def _recipes() -> list[bytes]:
    """Recipes that ship, and the smallest one with each key that a template has in a comment."""
    from mixwise.stages.init_template import TEMPLATE

    whole = [
        RECIPE.encode(),
        (_ROOT / "src/mixwise/demo/recipe.yaml").read_bytes(),
        *(path.read_bytes() for path in sorted(_ROOT.glob("examples/*/recipe*.yaml"))),
    ]
    keys = re.findall(r"(?m)^# ([a-z_]+: [^#\n]+)", TEMPLATE.replace("{{", "{").replace("}}", "}"))
    named = re.findall(r"(?m)^([a-z_]+):", RECIPE)
    return [
        *whole,
        "\n".join(
            [RECIPE, *(k for k in keys if k.split(":")[0] not in named and "null" not in k)]
        ).encode(),
    ]


def _change_yaml(content: bytes, rng: Random) -> bytes:
    draw = rng.random()
    if draw < 0.01:
        return rng.choice(_BOMBS)
    if draw < 0.5:
        return mutate_bytes(content, rng)
    try:
        value: Any = yaml.load(content, yaml.CSafeLoader)
    except yaml.YAMLError:
        return mutate_bytes(content, rng)
    for _ in range(rng.choice((1, 1, 2, 4))):
        value = mutate_value(value, rng)
    return _yaml(value) if rng.random() < 0.5 else json.dumps(value).encode()


def _change_json(content: bytes, rng: Random) -> bytes:
    if rng.random() < 0.5:
        return mutate_bytes(content, rng)
    return json.dumps(mutate_value(json.loads(content), rng)).encode()


def _yaml(value: Any) -> bytes:
    try:
        text = yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    except UnicodeEncodeError:  # half signs, which JSON has escapes for
        text = json.dumps(value)
    return text.encode(errors="replace")


def _read_recipe(folder: Path, rng: Random) -> object:
    from mixwise.recipe import load_recipe

    return load_recipe(folder / "recipe.yaml")


def _read_mergekit(folder: Path, rng: Random) -> object:
    from mixwise.stages.mergekit import base_of, merge_weights, read_mergekit

    config = read_mergekit(folder / "merge.yaml")
    return merge_weights(config, "merge.yaml"), base_of(config, "merge.yaml")


def _read_config(folder: Path, rng: Random) -> object:
    from mixwise.recipe import load_recipe
    from mixwise.stages.init import write_recipe

    made = folder / "made"
    made.mkdir()
    return load_recipe(write_recipe(made, folder / "train.yaml"))


def _read_mixture(folder: Path, rng: Random) -> object:
    from mixwise.mixture import Mixture

    text = (folder / "mixture").read_bytes().decode(errors="surrogateescape")
    return str(Mixture.parse(text, ("math", "code", "web")))


def _read_options(folder: Path, rng: Random) -> object:
    from mixwise.swarm import parse_asked, parse_space

    text = (folder / "options").read_bytes().decode(errors="surrogateescape")
    first, _, second = text.partition(" ")
    parse_asked(text, [first, second], [second])
    return parse_space(("math", "code", "web"), [first], [second])


_MIXTURES = (b"math=0.7,code=0.3", b"math=1", b"code=0.25, web=0.25,math=0.5", b"best")
_OPTIONS = (b"math=0.1 code=0.9", b"math=0.5 web=0.2", b"loss:min acc:max")
_DEEP = b"- " * 20_000
_BOMBS = (
    b"a: &a0 [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(
        b"b%d: &a%d [" % (k, k) + b",".join([b"*a%d" % (k - 1)] * 9) + b"]\n" for k in range(1, 12)
    )
    + b"base: *a11\n",
    b"base: &a [*a]\n",
    b"base: " + b"[" * 20_000,
    b"base: " + b"{a: " * 20_000,
    _DEEP,
    b"? " * 20_000,
    b"base: " + b"9" * 100_000,
    b"base: |\n" + b"  x\n" * 200_000,
    b"\n".join(b"k%d: 1" % k for k in range(60_000)),
    b"a: &a {b: 1}\n<<: [" + b",".join([b"*a"] * 20_000) + b"]\n",
    b"domains: {" + b",".join(b"d%d: {files: x}" % k for k in range(20_000)) + b"}\n",
)
_CONFIGS: tuple[dict[str, Any], ...] = (
    {
        "model_name_or_path": "org/base",
        "datasets": [{"path": "a.jsonl", "weight": 0.5}, {"path": "json", "data_files": "b.jsonl"}],
        "dataset_text_field": "text",
        "learning_rate": "2e-5",
        "max_length": 512,
        "per_device_train_batch_size": 4,
        "use_peft": True,
        "lora_r": 8,
        "lora_target_modules": "all-linear",
        "max_steps": 100,
        "seed": 3,
        "lr_scheduler_type": "cosine",
        "bf16": True,
    },
    {
        "base_model": "org/base",
        "datasets": [
            {"path": "a.jsonl", "ds_type": "json", "type": "chat_template"},
            {"path": "b.jsonl", "type": "completion", "field": "text"},
            {"path": "org/c", "type": "alpaca", "name": "en", "split": "train"},
        ],
        "chat_template": "jinja",
        "chat_template_jinja": "own.jinja",
        "sequence_len": 256,
        "adapter": "lora",
        "lora_r": 4,
        "lora_alpha": 8,
        "micro_batch_size": 2,
        "gradient_accumulation_steps": 4,
        "num_epochs": 1,
        "lr_scheduler": "cosine",
        "warmup_ratio": 0.1,
        "val_set_size": 0.1,
    },
    {
        "model_name_or_path": "org/base",
        "stage": "sft",
        "dataset": "a,b",
        "dataset_dir": "data",
        "interleave_probs": "0.7,0.3",
        "mix_strategy": "interleave_under",
        "template": "qwen",
        "cutoff_len": 512,
        "finetuning_type": "lora",
        "lora_rank": 8,
        "lora_target": "all",
        "learning_rate": 1e-4,
        "max_samples": 100,
        "num_train_epochs": 3.0,
    },
)  # fmt: skip
_INFO = {
    "a": {"file_name": "a.jsonl", "columns": {"prompt": "text", "response": "text"}},
    "b": {
        "file_name": "b.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user"},
    },
    "c": {"hf_hub_url": "org/c", "subset": "en", "split": "train", "num_samples": 9},
}


def _mergekit() -> list[bytes]:
    models = [
        {"model": "a", "parameters": {"weight": 0.5}},
        {"model": "b+adapter", "parameters": {"weight": 0.5}},
    ]
    return [
        _yaml({"merge_method": "linear", "models": models, "dtype": "float32"}),
        _yaml(
            {
                "merge_method": "task_arithmetic",
                "models": models,
                "base_model": "base",
                "parameters": {"normalize": True, "lambda": 0.9},
                "out_dtype": "bfloat16",
                "tokenizer_source": "base",
            }
        ),
    ]
