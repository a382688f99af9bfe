"""Architectures and checkpoint layouts, end to end: equal to plain transformers, or refused.

    python -m trials.architectures [WORD …] [--list]

Each case makes a tiny random base and two experts, saves them with transformers and lays them
out as they lie on the hub. mixwise opens, loads and merges them with shares 0.3 and 0.7; its logits
must be those of a plain script that loads both experts with transformers and averages the state
dicts, to a relative 1e-6 (of the norm), and so must those of the merge that is saved and loaded
anew by transformers. Cases that mixwise cannot take say so: then the refusal
must give the reason that stands in the case. WORD chooses the cases whose name holds it. One line a
case; the last line counts; exit 1 if any fails.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from packaging.version import Version
from safetensors.torch import load_file, save_file

from mixwise.errors import CheckpointError, MixwiseWarning
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rule_table import find_rule
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.copies import Copies
from mixwise.models.live_model import LiveModel
from mixwise.models.loading import build_module
from mixwise.models.module_layout import in_module_layout
from mixwise.stages.merged_folder import save_merged_model
from mixwise.stages.model_card import MergedPart, MergeFacts

Tensors = dict[str, torch.Tensor]
Layout = Callable[[Path], None]

SHARES = {"a": 0.3, "b": 0.7}
TOLERANCE = 1e-6
FULL, INDEX = "model.safetensors", "model.safetensors.index.json"
ENDS = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
SIZES = {
    "vocab_size": 41,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 32,
    "initializer_range": 0.1,
    **ENDS,
}
GPT = {"vocab_size": 41, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32, **ENDS}
BART = {
    "vocab_size": 41,
    "d_model": 16,
    "decoder_layers": 2,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 24,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "max_position_embeddings": 32,
    **ENDS,
}
HEADS = {"head_dim": 8}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 12}
ALL_HEADS = {"num_key_value_heads": 2}
DECODER = {"is_decoder": True, "type_vocab_size": 1}

GEMMA3 = {
    "text_config": {**SIZES, **HEADS},
    "vision_config": {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    },
    "mm_tokens_per_image": 4,
}

# What the configuration of each architecture takes besides, or instead of, SIZES.
ARCHITECTURES: Mapping[str, Mapping[str, Any]] = {
    "apertus": {},
    "arcee": {},
    "bamba": {"mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, "attn_layer_indices": [1]},
    "bart": {"=": BART},
    "bert": DECODER,
    "biogpt": {},
    "bloom": {"=": {"vocab_size": 41, "hidden_size": 16, "n_layer": 2, "n_head": 2, **ENDS}},
    "codegen": {"=": {**GPT, "rotary_dim": 4, "n_ctx": 32}},
    "cohere": {},
    "cohere2": HEADS,
    "ctrl": {"=": {**GPT, "dff": 24}},
    "diffllama": {"num_key_value_heads": 2},
    "electra": {**DECODER, "embedding_size": 16},
    "ernie4_5": HEADS,
    "exaone4": {},
    "falcon": {"new_decoder_architecture": False, "multi_query": True},
    "falcon_h1": {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8},
    "gemma": HEADS,
    "gemma2": HEADS,
    "gemma3_text": HEADS,
    "glm": {**HEADS},
    "glm4": {**HEADS},
    "gpt2": {"=": GPT},
    "gpt_bigcode": {"=": GPT},
    "gpt_neo": {
        "=": {
            "vocab_size": 41,
            "hidden_size": 16,
            "num_layers": 2,
            "num_heads": 2,
            "attention_types": [[["global", "local"], 1]],
            "max_position_embeddings": 32,
            **ENDS,
        }
    },
    "gpt_neox": {"rotary_pct": 0.5},
    "gpt_neox_japanese": {},
    "gptj": {"=": {**GPT, "rotary_dim": 4}},
    "granite": {},
    "helium": HEADS,
    "hunyuan_v1_dense": HEADS,
    "lfm2": {"block_multiple_of": 8, "full_attn_idxs": [1]},
    "llama": {},
    "mamba": {"=": {"vocab_size": 41, "hidden_size": 16, "num_hidden_layers": 2, "state_size": 4}},
    "mamba2": {
        "=": {
            "vocab_size": 41,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_heads": 4,
            "head_dim": 8,
            "state_size": 4,
            "n_groups": 1,
            "chunk_size": 8,
        }
    },
    "ministral": HEADS,
    "mistral": {},
    "mpt": {"=": {"vocab_size": 41, "d_model": 16, "n_layers": 2, "n_heads": 2, "max_seq_len": 32}},
    "nanochat": {},
    "nemotron": {},
    "olmo": {},
    "olmo2": {},
    "olmo3": {},
    "openai-gpt": {"=": GPT},
    "opt": {
        "=": {
            "vocab_size": 41,
            "hidden_size": 16,
            "ffn_dim": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 32,
            "word_embed_proj_dim": 16,
            **ENDS,
        }
    },
    "persimmon": {},
    "phi": {},
    "phi3": {},
    "qwen2": {},
    "qwen3": HEADS,
    "recurrent_gemma": {"lru_width": 16, "attention_window_size": 16, "num_hidden_layers": 3},
    "roberta": {**DECODER, "max_position_embeddings": 40},
    "rwkv": {
        "=": {
            "vocab_size": 41,
            "hidden_size": 16,
            "attention_hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "context_length": 32,
        }
    },
    "seed_oss": HEADS,
    "smollm3": {},
    "stablelm": {},
    "starcoder2": {},
    "xglm": {
        "=": {
            "vocab_size": 41,
            "d_model": 16,
            "ffn_dim": 24,
            "num_layers": 2,
            "attention_heads": 2,
            "max_position_embeddings": 32,
            **ENDS,
        }
    },
}
MIXTURES_OF_EXPERTS: Mapping[str, Mapping[str, Any]] = {
    "mixtral": {"num_local_experts": 3, "num_experts_per_tok": 2},
    "olmoe": {"num_experts": 3, **ALL_HEADS, "num_experts_per_tok": 2},
    "qwen2_moe": {"num_experts": 3, "shared_expert_intermediate_size": 12, **EXPERTS},
    "qwen3_moe": {"num_experts": 3, **HEADS, **EXPERTS},
}


@dataclass(frozen=True, slots=True)
class Case:
    """One architecture in one layout.

    Args:
        name: Name of the case.
        model_type: Architecture.
        changes: Values of its configuration, on top of SIZES; those under ``=`` instead of SIZES.
        base: How the base is laid out.
        experts: How the experts are; as the base, if None.
        refusal: Pattern of the reason for which the case is refused; None if it must be equal.
        warning: Pattern of what is said although the result is right.
        saving: Settings of `save_pretrained`.
        since: First transformers that knows the layout.
    """

    name: str
    model_type: str
    changes: Mapping[str, Any]
    base: Layout | None = None
    experts: Layout | None = None
    refusal: str | None = None
    warning: str | None = None
    saving: Mapping[str, Any] = field(default_factory=dict)
    since: str = "5.0"

    @property
    def is_known(self) -> bool:
        """Whether the installed transformers knows the architecture and the layout."""
        import transformers

        installed = Version(transformers.__version__)
        return self.model_type in transformers.CONFIG_MAPPING and installed >= Version(self.since)


def build(case: Case) -> Any:
    """The case's random model, the same each time."""
    from transformers import AutoConfig, AutoModelForCausalLM

    changes = dict(case.changes)
    sizes = changes.pop("=", SIZES)
    config = AutoConfig.for_model(case.model_type, **{**sizes, **changes})
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def save(case: Case, folder: Path) -> dict[str, Path]:
    """Save the base and two experts, laid out as the case says."""
    model = build(case)
    folders = {name: folder / name for name in ("base", *SHARES)}
    for seed, (name, path) in enumerate(folders.items()):
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters() if seed else ():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data.add_(0.02 * noise)
        model.save_pretrained(path, **case.saving)
        layout = case.base if name == "base" else case.experts or case.base
        if layout is not None:
            layout(path)
    return folders


def logits_of(module: Any) -> torch.Tensor:
    """Logits of one batch of tokens, in float64."""
    ids = torch.arange(3, 27).remainder(41).view(2, 12)
    with torch.inference_mode():
        return module.eval()(input_ids=ids).logits.double()


def merge_plainly(folders: Mapping[str, Path]) -> torch.Tensor:
    """Logits of the average of two experts that transformers loads, state dict by state dict."""
    from transformers import AutoModelForCausalLM

    def load(name: str) -> Any:
        return AutoModelForCausalLM.from_pretrained(
            folders[name], dtype=torch.float32, use_safetensors=True
        )

    model, states = load("base"), {name: load(name).state_dict() for name in SHARES}
    merged = {
        name: sum(share * states[domain][name].double() for domain, share in SHARES.items()).float()
        if tensor.is_floating_point()
        else tensor
        for name, tensor in model.state_dict().items()
    }
    model.load_state_dict(merged)
    return logits_of(model)


def merge_by_mixwise(folders: Mapping[str, Path]) -> torch.nn.Module:
    """The linear merge, through mixwise's own functions."""
    copies = Copies(folders["base"].parent / "copies")
    structure = build_module(folders["base"], dtype=torch.float32)
    opened = {
        name: in_module_layout(open_checkpoint(folder), structure, copies)
        for name, folder in folders.items()
    }
    live = LiveModel.load(opened["base"])
    pool = ExpertPool(live, {name: opened[name] for name in SHARES})
    pool.merge(Mixture.proportional(SHARES), find_rule("linear").bind(pool))
    return live.module


def save_and_load(module: torch.nn.Module, folders: Mapping[str, Path]) -> torch.Tensor:
    """Logits of a merge that was saved as `mixwise merge` does, and loaded by transformers."""
    from transformers import AutoModelForCausalLM

    place = folders["base"].parent / "merged"
    place.mkdir()
    parts = tuple(MergedPart(name, name, share, "") for name, share in SHARES.items())
    facts = MergeFacts(
        "base", "", parts, "tokens", "linear", "", "float32", is_adapter=False, is_linear=True
    )
    save_merged_model(module, place, folders["base"], facts)
    loaded, told = AutoModelForCausalLM.from_pretrained(
        place, dtype=torch.float32, output_loading_info=True
    )
    assert not told["missing_keys"], f"a saved merge lacks {sorted(told['missing_keys'])}"
    return logits_of(loaded)


def judge(case: Case, folder: Path) -> str:
    """What came of a case, beginning with ``ok`` or ``FAIL``."""
    folders = save(case, folder)
    said: list[str] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", MixwiseWarning)
            module = merge_by_mixwise(folders)
        said = [str(w.message) for w in caught if issubclass(w.category, MixwiseWarning)]
    except CheckpointError as error:
        reason = str(error).replace(f"{folder}/", "")
        is_right = case.refusal is not None and re.search(case.refusal, reason)
        return f"{'ok   refused' if is_right else 'FAIL refused'}: {reason}"
    if case.refusal is not None:
        return f"FAIL accepted, though it must be refused for: {case.refusal}"
    if bool(case.warning) != bool(said) or not re.search(case.warning or "", " ".join(said)):
        return f"FAIL said {said}, but should say: {case.warning}"
    truth = merge_plainly(folders)
    live, saved = logits_of(module), save_and_load(module, folders)
    error, saved_error = (float((each - truth).norm() / truth.norm()) for each in (live, saved))
    spread = float((truth - logits_of(build(case))).norm() / truth.norm())
    if not spread > 1e-3:
        return (
            f"FAIL the experts do not change the logits (by {spread:.0e}): the case shows nothing"
        )
    is_right = max(error, saved_error) <= TOLERANCE
    return f"{'ok   equal' if is_right else 'FAIL differs'} to {error:.1e}, saved {saved_error:.1e}"


# Layouts


def edited(change: Callable[[Tensors], None]) -> Layout:
    """A layout whose tensors are changed."""

    def layout(folder: Path) -> None:
        tensors = load_file(folder / FULL)
        change(tensors)
        tensors = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
        save_file(tensors, folder / FULL, metadata={"format": "pt"})

    return layout


def renamed(pattern: str, replacement: str) -> Layout:
    """A layout with other names; one that changes none is an error."""

    def change(tensors: Tensors) -> None:
        before = dict(tensors)
        tensors.clear()
        tensors.update({re.sub(pattern, replacement, name): t for name, t in before.items()})
        assert tensors.keys() != before.keys(), f"{pattern} changes none of {sorted(before)}"

    return edited(change)


def with_each_layer(layers: str, make: Mapping[str, Callable[[], torch.Tensor]]) -> Layout:
    """A layout with more tensors in every layer."""

    def change(tensors: Tensors) -> None:
        found = {m[1] for name in tensors if (m := re.match(rf"((?:\w+\.)*{layers}\.\d+)\.", name))}
        assert found, f"no layers {layers} in {sorted(tensors)}"
        for layer in found:
            for name, tensor in make.items():
                tensors[f"{layer}.{name}"] = tensor()

    return edited(change)


def in_precision(*dtypes: torch.dtype) -> Layout:
    """A layout in lower precision; with several dtypes, the tensors take turns."""

    def change(tensors: Tensors) -> None:
        for k, (name, tensor) in enumerate(tensors.items()):
            if tensor.is_floating_point():
                tensors[name] = tensor.to(dtypes[k % len(dtypes)])

    return edited(change)


def with_config(**values: Any) -> Layout:
    """A layout with other values in config.json."""

    def layout(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | values))

    return layout


def both(*layouts: Layout) -> Layout:
    """Several layouts, one after the other."""

    def layout(folder: Path) -> None:
        for each in layouts:
            each(folder)

    return layout


def sharded(folder: Path) -> None:
    """Two files and an index."""
    tensors = load_file(folder / FULL)
    weight_map = {}
    for k, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2]), 1):
        file = f"model-{k:05}-of-00002.safetensors"
        save_file({n: tensors[n] for n in names}, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(names, file)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / FULL).unlink()


def index_that_names(change: Callable[[str, Path], str]) -> Layout:
    """A sharded layout whose index names other files."""

    def layout(folder: Path) -> None:
        sharded(folder)
        index = json.loads((folder / INDEX).read_text())
        index["weight_map"] = {n: change(f, folder) for n, f in index["weight_map"].items()}
        (folder / INDEX).write_text(json.dumps(index))

    return layout


def moved_out(file: str, folder: Path) -> str:
    """Put a shard beside the folder, and leave zeros in its place."""
    outside = folder.parent / f"{folder.name}-{file}"
    if not outside.exists():
        shutil.move(folder / file, outside)
        zeros = {name: torch.zeros_like(t) for name, t in load_file(outside).items()}
        save_file(zeros, folder / file, metadata={"format": "pt"})
    return f"../{outside.name}"


def stale_index(folder: Path) -> None:
    """A single file beside shards of zeros and their index."""
    kept = folder / "kept"
    shutil.copy(folder / FULL, kept)
    edited(emptied)(folder)
    sharded(folder)
    kept.rename(folder / FULL)


def consolidated(folder: Path) -> None:
    """Mistral's own format beside the index."""
    stale = {"layers.0.attention.wq.weight": torch.zeros(2, 2)}
    save_file(stale, folder / "consolidated.safetensors", metadata={"format": "pt"})


def hub_cache(folder: Path) -> None:
    """Every file a link to a blob, as the hub's cache has them."""
    blobs = folder.parent / f"blobs-{folder.name}"
    blobs.mkdir()
    for k, file in enumerate(sorted(folder.iterdir())):
        shutil.move(file, blobs / f"{k:040x}")
        file.symlink_to(Path("..") / blobs.name / f"{k:040x}")


def pickled(folder: Path) -> None:
    """PyTorch's own format only."""
    torch.save(load_file(folder / FULL), folder / "pytorch_model.bin")
    (folder / FULL).unlink()


def variant_only(folder: Path) -> None:
    """Only the files of a variant."""
    (folder / FULL).rename(folder / "model.fp16.safetensors")


def named_in_config(folder: Path) -> None:
    """A file that config.json names, beside one of zeros under the usual name."""
    shutil.copy(folder / FULL, folder / "own.safetensors")
    edited(emptied)(folder)
    with_config(transformers_weights="own.safetensors")(folder)


def distributed(folder: Path) -> None:
    """A file as distributed checkpoints have them."""
    shutil.copy(folder / FULL, folder / "shard-00001-model-00001-of-00001.safetensors")


def adapter_beside(folder: Path) -> None:
    """An adapter's configuration beside a full model."""
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 1}))


def emptied(tensors: Tensors) -> None:
    """Zeros in all tensors."""
    for tensor in tensors.values():
        tensor.zero_()


def tied_twice(tensors: Tensors) -> None:
    """The tied head stored, too."""
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]


def untied(tensors: Tensors) -> None:
    """A head of its own, though config.json ties it."""
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] * 1.5


def with_tensor(name: str) -> Layout:
    """A layout with one tensor more."""
    return edited(lambda tensors: tensors.update({name: torch.ones(3)}))


def without(name: str) -> Layout:
    """A layout with one tensor less."""
    return edited(lambda tensors: tensors.__delitem__(name))


MASK = {"attn.bias": lambda: torch.ones(1, 1, 32, 32).tril()}
MASKED = {"attn.masked_bias": lambda: torch.tensor(-1e4)}
FREQUENCIES = {"self_attn.rotary_emb.inv_freq": lambda: torch.ones(4)}
PYTHIA = {
    "attention.bias": lambda: torch.ones(1, 1, 32, 32).tril().bool(),
    "attention.masked_bias": lambda: torch.tensor(-1e9),
    "attention.rotary_emb.inv_freq": lambda: torch.ones(2),
}
IS_UNTIED = {"tie_word_embeddings": False}
IS_TIED = {"tie_word_embeddings": True}
BF16, F16, F32, F64 = torch.bfloat16, torch.float16, torch.float32, torch.float64


def case(name: str, base: Layout | None = None, **settings: Any) -> Case:
    """A case whose name begins with its architecture; ``changes`` go on top of the table's."""
    model_type = re.split("[ ,]", name)[0]
    known = ARCHITECTURES.get(model_type) or MIXTURES_OF_EXPERTS.get(model_type) or {}
    changes = {**known, **settings.pop("changes", {})}
    return Case(name, model_type, changes, base, **settings)


def whole_table() -> tuple[Case, ...]:
    """All cases."""
    own_layout = {"save_original_format": False}
    return (
        *(case(name) for name in ARCHITECTURES),
        *(case(f"{n}, one by one") for n in MIXTURES_OF_EXPERTS),
        *(case(f"{n} joined", saving=own_layout) for n in MIXTURES_OF_EXPERTS),
        case("llama sharded", sharded),
        case("llama single file beside shards and their index", stale_index),
        case("llama in the hub's cache", hub_cache),
        case("llama sharded in the hub's cache", both(sharded, hub_cache)),
        case("llama beside consolidated.safetensors", consolidated),
        case("llama in a file that config.json names", named_in_config),
        case("llama index with ..", index_that_names(moved_out), refusal="of this folder"),
        case(
            "llama index with an absolute path",
            index_that_names(lambda file, folder: str(folder / file)),
            refusal="of this folder",
        ),
        case(
            "llama index with the wrong file",
            index_that_names(lambda file, folder: "model-00001-of-00002.safetensors"),
            refusal="should be in `model-00001-of-00002.safetensors`, but is not",
        ),
        case("llama pickled", pickled, refusal="holds `pytorch_model.bin`, which may run code"),
        case("llama variant only", variant_only, refusal="`model.safetensors` is missing"),
        case("llama distributed", distributed, refusal="one file per process", since="5.20"),
        case("llama with an adapter", adapter_beside, refusal="a full model .* and an adapter"),
        case("llama of another age", with_each_layer("layers", FREQUENCIES)),
        case("llama without prefix", renamed(r"^model\.", "")),
        case("llama tied", changes=IS_TIED),
        case("llama tied, stored twice", edited(tied_twice), changes=IS_TIED),
        case("llama untied against its config", edited(untied), changes=IS_TIED),
        case(
            "llama tied base, untied experts",
            None,
            experts=edited(untied),
            changes=IS_TIED,
            refusal="are tied in the base but differ",
        ),
        case("llama bf16", in_precision(BF16)),
        case("llama fp16", in_precision(F16)),
        case("llama mixed precision", in_precision(F32, BF16, F16)),
        case("llama f32, bf16 experts", None, experts=in_precision(BF16)),
        case("llama bf16, f32 experts", in_precision(BF16), experts=in_precision(F32)),
        case("llama bf16, fp16 experts", in_precision(BF16), experts=in_precision(F16)),
        case("llama f64 experts", None, experts=in_precision(F64), warning="saved in float64"),
        case("llama fp8", in_precision(torch.float8_e4m3fn), refusal="stored as F8_E4M3"),
        case("llama int8 experts", None, experts=in_precision(torch.int8), refusal="stored as I8"),
        case(
            "llama quantised",
            with_config(quantization_config={"quant_method": "gptq", "bits": 4}),
            refusal=r"is quantised \(gptq",
        ),
        case(
            "llama with a tensor too many",
            with_tensor("model.layers.0.self_attn.q_proj.bias"),
            refusal="`model.layers.0.self_attn.q_proj.bias` has no place in the LlamaForCausalLM",
        ),
        case(
            "llama with a module too many",
            with_tensor("mtp.0.weight"),
            warning="`mtp.0.weight`, belong to modules that no LlamaForCausalLM has",
        ),
        case(
            "llama expert with a module too many",
            None,
            experts=with_tensor("mtp.0.weight"),
            refusal="`mtp.0.weight` is not part of the base",
        ),
        case(
            "llama with a tensor too few",
            without("model.norm.weight"),
            refusal="`model.norm.weight` is missing",
        ),
        case(
            "llama with fewer layers",
            with_config(num_hidden_layers=1),
            refusal=r"`model.layers.1.\S+` has no place",
        ),
        case(
            "llama of another width",
            with_config(intermediate_size=20),
            refusal=r"must have shape \(16, 20\), as config.json says, but got \(16, 24\)",
        ),
        case(
            "gpt2 as on the hub",
            both(renamed(r"^transformer\.", ""), with_each_layer("h", MASK)),
            since="5.2",
        ),
        case("gpt2 with masks", with_each_layer("h", MASK), since="5.2"),
        case(
            "gpt2 old base, new experts",
            with_each_layer("h", MASK),
            experts=in_precision(F32),
            since="5.2",
        ),
        case("gptj as on the hub", with_each_layer("h", MASK | MASKED), since="5.24"),
        case("gpt_neox as on the hub", with_each_layer("layers", PYTHIA)),
        case(
            "gpt_neox base by today's names",
            renamed("^embed_out", "lm_head"),
            experts=in_precision(F32),
            since="5.14",
        ),
        case("gpt_neox fp16", both(with_each_layer("layers", PYTHIA), in_precision(F16))),
        case("bert by old names", renamed("LayerNorm.weight", "LayerNorm.gamma")),
        case("bloom without prefix", renamed(r"^transformer\.", "")),
        case(
            "mamba by other names",
            renamed("embeddings", "embedding"),
            refusal="`backbone.embedding.weight` has no place",
        ),
        case("opt with prefix", renamed(r"^model\.", "")),
        case("qwen2 sharded, untied", sharded, changes=IS_UNTIED),
        case("gemma bf16 sharded", both(in_precision(BF16), sharded)),
        case("gemma3", changes={"=": GEMMA3}),
        case(
            "gemma3 by today's names",
            both(
                renamed(r"^language_model\.model", "model.language_model"),
                renamed(r"^(vision_tower|multi_modal_projector)", r"model.\1"),
            ),
            changes={"=": GEMMA3},
        ),
    )


def main() -> int:
    """Run the cases that are asked for."""
    from transformers.utils import logging

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("words", nargs="*", metavar="WORD", help="part of the names of cases")
    parser.add_argument("--list", action="store_true", help="only name them")
    asked = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    chosen = [c for c in whole_table() if not asked.words or any(w in c.name for w in asked.words)]
    counts = {"ok": 0, "FAIL": 0, "unknown": 0}
    for each in chosen:
        if asked.list:
            print(each.name)
            continue
        if not each.is_known:
            outcome = "unknown to this transformers"
        else:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    outcome = judge(each, Path(folder))
                except Exception as error:  # a case that breaks is a case that fails
                    outcome = f"FAIL {type(error).__name__}: {error}"
        counts[outcome.split()[0]] += 1
        print(f"{each.name:48} {outcome}", flush=True)
    print(f"{counts['ok']} right, {counts['FAIL']} wrong, {counts['unknown']} unknown here")
    return int(counts["FAIL"] > 0 or not chosen)


if __name__ == "__main__":
    sys.exit(main())
