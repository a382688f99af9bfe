"""The mixture as ms-swift takes it.

Source:
    ``DatasetSyntax.parse`` and ``sample_dataset`` of ms-swift 4.6: ``path#count`` reads a dataset
    ⌊count / N⌋ times, and a random rest.

Method:
    Texts are for `swift pt`, which splits long ones; conversations for `swift sft`, where long ones
    are cut, and not left out as is usual there.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from mixwise.errors import RecipeError
from mixwise.export.handover import HandedDomain, Handover
from mixwise.export.trainers.datasets_library import PLAIN_SUFFIXES
from mixwise.export.trainers.trainer import Reads, Rendered, Trainer, agreed_learning

_LOSS_SCALES = {"assistant": "default", "completion": "last_round", "all": "all"}


def render(handover: Handover, file: Path) -> Rendered:
    """Arguments of `swift sft` or `swift pt` as a variable of the shell."""
    counts = handover.row_counts("cut")
    is_written = bool(handover.materialised)
    is_text = all(domain.source.records == "text" for domain in handover.domains)
    learned = (
        "all" if is_text else agreed_learning(handover.domains, "ms-swift", tuple(_LOSS_SCALES))
    )
    datasets = [
        shlex.quote(_place(d) if is_written else f"{_place(d)}#{counts[d.name]}")
        for d in handover.domains
    ]
    lines = (
        "MIXTURE=(",
        "  --dataset",
        *(f"    {dataset}" for dataset in datasets),
        f"  --loss_scale {_LOSS_SCALES[learned]}",
        f"  --max_length {handover.sequence_length}",
        f"  --truncation_strategy {'split' if is_text else 'right'}",
        f"  --dataset_shuffle {str(not is_written).lower()}",
        "  --num_train_epochs 1",
        f"  --data_seed {handover.seed}",
        ")",
    )
    return Rendered(lines, {name: float(count) for name, count in counts.items()})


def _place(domain: HandedDomain) -> str:
    source = domain.source
    if source.hub is None:
        if "#" in str(source.file):
            raise RecipeError(
                f"`domains.{domain.name}`: ms-swift takes what follows `#` for a count, but the "
                f"path has one, {source.file}: rename it"
            )
        return str(source.file)
    return f"hf::{source.hub.dataset}" + (f":{source.hub.config}" if source.hub.config else "")


MS_SWIFT = Trainer(
    name="ms-swift",
    title="ms-swift 4.6",
    file="ms-swift.sh",
    weight="the number behind `#` is a count of rows; above a dataset's size whole passes and a "
    "random rest.",
    use='Source this file, then `swift sft "${MIXTURE[@]}" ...` (texts: `swift pt`).',
    long_rows="cut",
    reads=Reads(
        ("text", "prompt-completion", "chat", "sharegpt", "alpaca"),
        PLAIN_SUFFIXES,
        many_files=False,
        hub=("config",),
        texts_apart=True,
    ),
    render=render,
)
