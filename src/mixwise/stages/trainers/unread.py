"""Configurations that no recipe can be taken from: whose they are, and what to do instead.

Source:
    ``DomainMixtureConfig`` and ``MegatronPretrainingConfig`` of NeMo Automodel 0.7,
    ``SourceMixtureDatasetConfig`` of OLMo-core 3.0, ``--data-path`` of Megatron-core 0.19 and
    ``data_path`` of Megatron Bridge, all of which name files of token ids; ``train_dataset`` of
    LLaMA-Factory 0.9.5's v1; torchtitan 0.3, which is configured by Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_BY_HAND = "run `mixwise init` without `--from`, and name"
_TOKENS = f"whose files hold token ids and no texts: {_BY_HAND} the texts that were tokenised"
_DATASETS = f"{_BY_HAND} its datasets in `domains`"
_BY_SUFFIX = {
    ".sh": "is a script of the shell, which is not run: give ms-swift's arguments as YAML, as "
    "`swift sft FILE.yaml` takes them; for Megatron, whose files hold token ids and no texts, "
    f"{_BY_HAND} the texts that were tokenised",
    ".py": f"is Python, which is not run: {_DATASETS}",
    ".toml": f"is TOML, but a trainer's configuration is read from YAML: {_DATASETS}",
}


def unread_file(path: Path) -> str | None:
    """Why a file of this name is none that is read, and what to do; None where it may be one."""
    return _BY_SUFFIX.get(path.suffix.lower())


def unread_keys(values: Mapping[str, Any]) -> str | None:
    """The same of a configuration's keys.

    Args:
        values: The keys of a YAML file.

    Example:
        >>> unread_keys({"source_list": {"sources": []}})[:24]
        'is that of OLMo-core, wh'
    """
    dataset = values.get("dataset")
    inner = dataset if isinstance(dataset, Mapping) else {}
    if "source_list" in values or "source_mixture_config" in inner:
        return f"is that of OLMo-core, {_TOKENS}"
    if "domain_mixture" in values or "paths" in inner:
        return f"is that of NeMo Automodel, {_TOKENS}"
    if "data_path" in values or inner.keys() & {"blend", "data_path"}:
        return f"is that of Megatron, {_TOKENS}"
    if "train_dataset" in values or _describes_datasets(values):
        return (
            "is that of LLaMA-Factory's v1: give one of its older interface (`dataset` with "
            f"`dataset_dir`), or {_DATASETS}"
        )
    return None


def _describes_datasets(values: Mapping[str, Any]) -> bool:
    """Whether each key is a dataset with a converter, as the file that `train_dataset` names."""
    each = [isinstance(value, Mapping) and "converter" in value for value in values.values()]
    return bool(each) and all(each)
