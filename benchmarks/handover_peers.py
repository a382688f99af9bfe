"""What trainers draw from the files that mixwise exports: by their own parsers and samplers.

Each function reads an exported file as the trainer does, lets the trainer's own code choose rows or
sequences, and counts tokens by domain.
"""

from __future__ import annotations

import importlib.machinery
import os
import runpy
import subprocess
import sys
import types
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from benchmarks.handover_bed import (
    SEQUENCE_LENGTH,
    TEMPLATE,
    Bed,
    domain_of,
    rendered,
    trainer_named,
)

By = Literal["loader", "sampler", "parser"]
Records = Literal["text", "chat", "sharegpt"]
Tokens = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Peer:
    """A trainer that exports are read by.

    Args:
        name: Of the exporter.
        package: Its distribution.
        records: Rows that are handed over to it here.
        by: Its loader draws whole datasets, its sampler an order; its parser reads the file, and
            the sampler that it shares with Megatron draws.
        repeats: Whether it can read a domain more than once.
        draw: Reads the file and draws.
    """

    name: str
    package: str
    records: Records
    by: By
    repeats: bool
    draw: Callable[[Bed, Path], Tokens]

    @property
    def version(self) -> str:
        """Its installed release; empty where it is not installed."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return ""


def _texts(rows: Any) -> list[str]:
    """The texts of rows, conversations as the template writes them."""
    if "messages" not in rows.column_names:
        return list(rows["text"])
    return [
        rendered([(turn["role"], turn["content"]) for turn in turns]) for turns in rows["messages"]
    ]


def _draw_trl(bed: Bed, file: Path) -> Tokens:
    from trl import DatasetMixtureConfig, ModelConfig, ScriptArguments, SFTConfig, TrlParser
    from trl.scripts.utils import get_dataset

    parser = TrlParser((ScriptArguments, SFTConfig, ModelConfig, DatasetMixtureConfig))
    *_, mixture = parser.parse_args_and_config(["--config", str(file), "--bf16", "false"])
    rows = get_dataset(mixture)["train"]
    return bed.count(_texts(rows), trainer_named("trl"))


def _draw_axolotl(bed: Bed, file: Path) -> Tokens:
    from axolotl.utils.data.sft import _load_and_process_single_dataset
    from axolotl.utils.dict import DictDefault
    from axolotl.utils.schemas.config import AxolotlInputConfig

    values = yaml.safe_load(file.read_text())
    batch = {"micro_batch_size": 1, "gradient_accumulation_steps": 16, "learning_rate": 1e-4}
    config = AxolotlInputConfig(**values, **batch)
    given = DictDefault(config.model_dump(exclude_none=True) | {"dataset_num_proc": 1})
    tokenizer = bed.workspace.inputs.tokenizer.tokenizer
    tokenizer.chat_template = TEMPLATE  # a user's base has its own
    found: Counter[str] = Counter()
    for each in given.datasets:
        rows, _ = _load_and_process_single_dataset(
            DictDefault(each), given, tokenizer, "train", given.seed
        )
        for ids in rows["input_ids"]:  # it cuts them later, by `excess_length_strategy`
            n_tokens = min(len(ids), given.sequence_len)
            found[_domain_of_packed(tokenizer.decode(ids), bed)] += n_tokens
    return found


def _without_sound() -> None:
    """LLaMA-Factory imports torchaudio, which it uses for columns of sounds alone."""
    os.environ.setdefault("DISABLE_VERSION_CHECK", "1")
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError):
        empty = types.ModuleType("torchaudio")
        empty.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
        sys.modules["torchaudio"] = empty


def _draw_llamafactory(bed: Bed, file: Path) -> Tokens:
    _without_sound()
    from llamafactory.data.loader import _get_merged_dataset
    from llamafactory.hparams import DataArguments, ModelArguments
    from transformers import Seq2SeqTrainingArguments

    values = yaml.safe_load(file.read_text())
    names = ("dataset_dir", "dataset", "mix_strategy", "cutoff_len")
    data = DataArguments(**{name: values[name] for name in names})
    model = ModelArguments(model_name_or_path=values["model_name_or_path"])
    training = Seq2SeqTrainingArguments(output_dir=str(bed.folder), seed=values["seed"])
    np.random.seed(values["seed"])
    rows = _get_merged_dataset(data.dataset, model, data, training, values["stage"])
    if values["stage"] == "pt":
        texts = [prompt[0]["content"] for prompt in rows["_prompt"]]
    else:
        texts = [
            rendered([(turn["role"], turn["content"]) for turn in [*prompt, *response]])
            for prompt, response in zip(rows["_prompt"], rows["_response"], strict=True)
        ]
    return bed.count(texts, trainer_named("llamafactory"))


def _draw_llamafactory_v1(bed: Bed, file: Path) -> Tokens:
    _without_sound()
    import random

    from llamafactory.v1.core.data_engine import DataEngine

    random.seed(bed.handover.seed)
    engine = DataEngine(str(file))
    rows = (engine[k]["messages"] for k in range(len(engine)))
    texts = [
        rendered(
            [(turn["role"], "".join(part["value"] for part in turn["content"])) for turn in row]
        )
        for row in rows
    ]
    return bed.count(texts, trainer_named("llamafactory-v1"))


def shell_arguments(file: Path) -> list[str]:
    """The words of the variable that a file of the shell sets."""
    script = f'source "{file}"; printf "%s\\n" "${{MIXTURE[@]}}"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def _option(words: list[str], name: str) -> list[str]:
    start = words.index(name) + 1
    rest = words[start:]
    end = next((k for k, word in enumerate(rest) if word.startswith("--")), len(rest))
    return rest[:end]


def _draw_ms_swift(bed: Bed, file: Path) -> Tokens:
    from swift.dataset import load_dataset

    words = shell_arguments(file)
    seed = int(_option(words, "--data_seed")[0])
    rows, _ = load_dataset(
        _option(words, "--dataset"),
        split_dataset_ratio=0.0,
        seed=seed,
        shuffle=_option(words, "--dataset_shuffle") == ["true"],
    )
    if bed.handover.domains[0].source.records == "text":
        texts = [messages[-1]["content"] for messages in rows["messages"]]
        return bed.count(texts, trainer_named("ms-swift"))
    return bed.count(_texts(rows), trainer_named("ms-swift"))


def _draw_blend(bed: Bed, blend: list[str], n_samples: int) -> Tokens:
    """Sequences of each domain by the index that Megatron's sampler is compiled to build."""
    from megatron.core.datasets import helpers_cpp
    from megatron.core.datasets.utils import get_blend_from_list, normalize

    parsed = get_blend_from_list(blend)
    assert parsed is not None
    paths, weights = parsed
    assert weights is not None
    index, sample = np.zeros(n_samples, dtype=np.int16), np.zeros(n_samples, dtype=np.int64)
    helpers_cpp.build_blending_indices(
        index, sample, normalize(weights), len(paths), n_samples, False
    )
    counts = np.bincount(index, minlength=len(paths)).tolist()
    return {path.split("_")[0]: n * SEQUENCE_LENGTH for path, n in zip(paths, counts, strict=True)}


def _draw_megatron(bed: Bed, file: Path) -> Tokens:
    words = shell_arguments(file)
    return _draw_blend(
        bed, _option(words, "--data-path"), int(_option(words, "--train-samples")[0])
    )


def _draw_nemo(bed: Bed, file: Path) -> Tokens:
    from nemo_automodel.components.datasets.llm.megatron.megatron_utils import get_blend_from_list
    from nemo_automodel.components.training.domain_mixture import (
        DomainMixtureConfig,
        DomainWeightConfig,
    )

    values = yaml.safe_load(file.read_text())
    paths = values["dataset"]["paths"]
    domains = tuple(DomainWeightConfig(**each) for each in values["domain_mixture"]["domains"])
    mixture = DomainMixtureConfig(domains).build(blend=get_blend_from_list(paths))
    assert all(abs(multiplier - 1) < 1e-9 for multiplier in mixture.loss_multipliers)
    return _draw_blend(bed, paths, bed.handover.horizon_tokens // SEQUENCE_LENGTH)


def _draw_olmo_core(bed: Bed, file: Path) -> Tokens:
    from olmo_core.data.source_mixture import SourceMixtureDatasetConfig
    from olmo_core.data.types import NumpyDatasetDType

    values = yaml.safe_load(file.read_text())
    for source in values["source_list"]["sources"]:
        name = source["source_name"]
        path = bed.folder / "npy" / name / "0.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = bed.workspace.inputs.corpus(name).folder
        both = [
            np.fromfile(stream / f"{side}.u32", dtype=np.uint32) for side in ("train", "heldout")
        ]
        np.concatenate(both).astype(np.uint32).tofile(path)
        source["paths"] = [str(path.parents[1] / each) for each in source["paths"]]
    config = SourceMixtureDatasetConfig.from_dict(values | {"render_tables": False})
    built = config.build(
        npdtype=NumpyDatasetDType.uint32.as_np_dtype(), sequence_length=SEQUENCE_LENGTH
    )
    found: Counter[str] = Counter()
    for (path_text, _), n_tokens in built.to_index().items():
        found[Path(path_text).parent.name] += n_tokens
    return found


def _draw_torchtitan(bed: Bed, file: Path) -> Tokens:
    from torchtitan.hf_datasets.text_datasets import InterleavedHuggingFaceTextDataLoader

    module = runpy.run_path(str(file))
    loader = InterleavedHuggingFaceTextDataLoader(
        module["mixture"],
        dp_world_size=1,
        dp_rank=0,
        tokenizer=_TitanTokenizer(bed),
        seq_len=module["seq_len"],
        local_batch_size=16,
    )
    rows = iter(loader)
    found: Counter[str] = Counter()
    tokenizer = bed.workspace.inputs.tokenizer.tokenizer
    for _ in range(module["steps"]):
        inputs, _ = next(rows)
        for ids in inputs["input"].tolist():
            found[_domain_of_packed(tokenizer.decode(ids), bed)] += len(ids)
    return found


class _TitanTokenizer:
    """The bed's tokenizer, as torchtitan calls one."""

    def __init__(self, bed: Bed) -> None:
        self._tokenizer: Any = bed.workspace.inputs.tokenizer.tokenizer
        self.eos_id = self._tokenizer.eos_token_id
        self.bos_id = self._tokenizer.bos_token_id

    def encode(self, text: str, add_bos: bool = False, add_eos: bool = True) -> list[int]:
        """Ids of a text, with the token that ends it."""
        ids: list[int] = self._tokenizer(text)["input_ids"]
        return ids + [self.eos_id] * add_eos


def _domain_of_packed(text: str, bed: Bed) -> str:
    """The domain of a packed sequence: that which its rows name, or the one of the long rows."""
    names = {domain.name for domain in bed.handover.domains}
    found = names & set(text.split())
    return found.pop() if found else "long"


def _draw_huggingface(bed: Bed, file: Path) -> Tokens:
    rows = runpy.run_path(str(file))["mixture"]
    return bed.count(_texts(rows), trainer_named("huggingface"))


PEERS = (
    Peer("trl", "trl", "text", "loader", False, _draw_trl),
    Peer("trl", "trl", "chat", "loader", False, _draw_trl),
    Peer("axolotl", "axolotl", "text", "loader", False, _draw_axolotl),
    Peer("axolotl", "axolotl", "sharegpt", "loader", False, _draw_axolotl),
    Peer("llamafactory", "llamafactory", "text", "loader", True, _draw_llamafactory),
    Peer("llamafactory", "llamafactory", "sharegpt", "loader", True, _draw_llamafactory),
    Peer("llamafactory-v1", "llamafactory", "sharegpt", "loader", True, _draw_llamafactory_v1),
    Peer("ms-swift", "ms-swift", "text", "loader", True, _draw_ms_swift),
    Peer("ms-swift", "ms-swift", "chat", "loader", True, _draw_ms_swift),
    Peer("megatron", "megatron-core", "text", "sampler", True, _draw_megatron),
    Peer("nemo", "nemo-automodel", "text", "parser", True, _draw_nemo),
    Peer("olmo-core", "ai2-olmo-core", "text", "loader", True, _draw_olmo_core),
    Peer("torchtitan", "torchtitan", "text", "loader", True, _draw_torchtitan),
    Peer("huggingface", "datasets", "text", "loader", True, _draw_huggingface),
    Peer("huggingface", "datasets", "chat", "loader", True, _draw_huggingface),
)
assert all(domain_of(name) == name for name in ("short", "long", "few"))
