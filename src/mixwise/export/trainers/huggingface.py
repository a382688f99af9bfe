"""The mixture as `interleave_datasets` of Hugging Face's `datasets` takes it.

Source:
    ``interleave_datasets`` of datasets 5.2: ``probabilities`` that the next row is of a dataset.

Method:
    Probabilities are rᵢ / Σ r. What is drawn of n rows varies by √(n p (1 − p)); each dataset is
    repeated as often as it needs to last beyond six times that, so that the draw never ends early
    and never goes on without one of them.
"""

from __future__ import annotations

import math
from pathlib import Path

from mixwise.export.handover import HandedDomain, Handover
from mixwise.export.trainers.chance import draw_note, largest_deviation
from mixwise.export.trainers.datasets_library import HUGGING_FACE_SUFFIXES
from mixwise.export.trainers.python_lines import load_call
from mixwise.export.trainers.trainer import Reads, Rendered, Trainer

_DEVIATIONS = 6.0


def render(handover: Handover, file: Path) -> Rendered:
    """A module whose `mixture` is the dataset of the run."""
    if handover.materialised:
        call = load_call(handover.domains[0].source)
        written = ("from datasets import load_dataset", "", f"mixture = {call}")
        return Rendered(written, {domain.name: 1.0 for domain in handover.domains})
    shares = handover.row_shares("whole")
    n_rows = max(1, round(sum(domain.rows("whole") for domain in handover.domains)))
    lines = (
        "from datasets import interleave_datasets, load_dataset",
        "",
        "parts = [",
        *(f"    {_part(domain, shares, n_rows, handover.seed)}," for domain in handover.domains),
        "]",
        f"probabilities = {[round(shares[d.name], 8) for d in handover.domains]!r}",
        "mixture = interleave_datasets(",
        "    parts,",
        "    probabilities=[p / sum(probabilities) for p in probabilities],",
        f"    seed={handover.seed},",
        '    stopping_strategy="first_exhausted",',
        f").take({n_rows})",
    )
    each = {d.name: d.mean_tokens("whole") for d in handover.domains}
    notes = (draw_note(largest_deviation(shares, each, n_rows)),) if len(shares) > 1 else ()
    return Rendered(lines, shares, notes=notes)


def _part(domain: HandedDomain, shares: dict[str, float], n_rows: int, seed: int) -> str:
    share = shares[domain.name]
    most = n_rows * share + _DEVIATIONS * math.sqrt(n_rows * share * (1 - share)) + 1
    passes = math.ceil(most / domain.counts.n_rows)
    columns = [name for part, name in domain.source.fields.items() if name and part != "separator"]
    repeated = f".repeat({passes})" if passes > 1 else ""
    call = load_call(domain.source)
    return f"{call}.select_columns({columns!r}).shuffle(seed={seed}){repeated}"


HUGGINGFACE = Trainer(
    name="huggingface",
    title="datasets 5.2 (`interleave_datasets`)",
    file="mixture_huggingface.py",
    weight="a probability that the next row is of a dataset: a share of rows, on average.",
    use="Import `mixture` from this module, or run it.",
    long_rows="whole",
    reads=Reads(
        ("text", "prompt-completion", "chat", "sharegpt", "alpaca"),
        HUGGING_FACE_SUFFIXES,
        renames=("text", "prompt-completion", "chat", "sharegpt", "alpaca"),
        one_layout=True,
    ),
    render=render,
)
