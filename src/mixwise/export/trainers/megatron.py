"""The mixture as Megatron-core and Megatron Bridge take it.

Source:
    ``get_blend_from_list`` and ``BlendedDataset`` of Megatron-core 0.19: weights of sequences,
    which are all equally long, so that they are shares of tokens; a short dataset is repeated in
    silence.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from mixwise.export.handover import Handover
from mixwise.export.trainers.trainer import Reads, Rendered, Trainer


def prefixes(handover: Handover) -> dict[str, str]:
    """Prefix of the tokenised files of each domain, as `preprocess_data.py` makes it."""
    return {d.name: f"{d.name}_{d.source.fields['text']}_document" for d in handover.domains}


def preprocessing_lines(handover: Handover) -> tuple[str, ...]:
    """How the tokenised files are made, a comment a domain."""
    return tuple(
        f"# tools/preprocess_data.py --input {shlex.quote(str(domain.source.file))} "
        f"--json-keys {shlex.quote(str(domain.source.fields['text']))} "
        f"--output-prefix {domain.name} --append-eod"
        for domain in handover.domains
    )


def render(handover: Handover, file: Path) -> Rendered:
    """Arguments of a training script as a variable of the shell."""
    paths = prefixes(handover)
    weights = {domain.name: domain.share for domain in handover.domains}
    lines = (
        *preprocessing_lines(handover),
        "MIXTURE=(",
        "  --data-path",
        *(f"    {weights[name]:.8f} {shlex.quote(path)}" for name, path in paths.items()),
        f"  --seq-length {handover.sequence_length}",
        f"  --train-samples {handover.horizon_tokens // handover.sequence_length}",
        f"  --seed {handover.seed}",
        "  --split 100,0,0",
        ")",
    )
    return Rendered(lines, weights)


TOKEN_FILES = Reads(("text",), (".jsonl",), renames=("text",), many_files=False, hub=None)

MEGATRON = Trainer(
    name="megatron",
    title="Megatron-core 0.19 and Bridge 0.6",
    file="megatron.sh",
    weight="a weight is a share of sequences, all equally long, so a share of tokens; a domain "
    "that is too short is repeated.",
    use='Source this file, then `torchrun pretrain_gpt.py "${MIXTURE[@]}" ...`; in Bridge '
    "`data_path` takes the same list. Tokenise the files first, as the lines below say.",
    long_rows="whole",
    reads=TOKEN_FILES,
    render=render,
    layouts=("as it stands", "text"),
)
