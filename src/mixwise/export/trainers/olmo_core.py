"""The mixture as OLMo-core takes it.

Source:
    ``SourceMixtureDatasetConfig`` of OLMo-core 3.0: shares of tokens that sum to 1, and how often a
    source may be repeated; it stops where a source has fewer tokens than that asks for.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from mixwise.export.handover import HandedDomain, Handover
from mixwise.export.trainers.megatron import TOKEN_FILES
from mixwise.export.trainers.trainer import Rendered, Trainer
from mixwise.export.trainers.yaml_lines import as_yaml

_SLACK = 1.02  # a tokeniser run of the user's own may count somewhat fewer tokens


def render(handover: Handover, file: Path) -> Rendered:
    """A `SourceMixtureDatasetConfig`."""
    weights = {d.name: d.share for d in handover.domains}
    values = {
        "source_list": {"sources": [_source(domain) for domain in handover.domains]},
        "requested_tokens": handover.horizon_tokens,
        "global_batch_size": handover.batch_sequences * handover.sequence_length,
        "seed": handover.seed,
    }
    return Rendered(as_yaml(values), weights)


def _source(domain: HandedDomain) -> dict[str, Any]:
    needed = domain.epochs("whole") * _SLACK
    return {
        "source_name": domain.name,
        "target_ratio": domain.share,
        "paths": [f"{domain.name}/*.npy"],
        "max_repetition_ratio": max(1.0, math.ceil(needed * 100) / 100) if needed > 1 else 1.0,
    }


OLMO_CORE = Trainer(
    name="olmo-core",
    title="OLMo-core 3.0",
    file="olmo-core.yaml",
    weight="`target_ratio` is a share of tokens; `max_repetition_ratio` the most epochs.",
    use="`SourceMixtureDatasetConfig.from_dict` takes this file's content; the token files of each "
    "domain are looked for in a folder of its name.",
    long_rows="whole",
    reads=TOKEN_FILES,
    render=render,
    layouts=("as it stands", "text"),
)
