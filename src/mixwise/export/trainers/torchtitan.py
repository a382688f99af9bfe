"""The mixture as torchtitan takes it.

Source:
    ``InterleavedHuggingFaceTextDataLoader`` of torchtitan 0.3: which source the next packed
    sequence is of is drawn by weights, so that they are shares of tokens.

Method:
    torchtitan knows datasets by name alone, so the module registers one a domain. Its first epoch
    reads rows in their order; the loader shuffles them first. All are infinite: the steps end the
    run, and a short domain is repeated.
"""

from __future__ import annotations

from pathlib import Path

from mixwise.export.handover import Handover
from mixwise.export.trainers.chance import draw_note, largest_deviation
from mixwise.export.trainers.datasets_library import HUGGING_FACE_SUFFIXES
from mixwise.export.trainers.python_lines import load_call
from mixwise.export.trainers.trainer import Reads, Rendered, Trainer


def render(handover: Handover, file: Path) -> Rendered:
    """A module that registers the datasets and has the loader's configuration."""
    weights = {domain.name: domain.share for domain in handover.domains}
    shuffled = "" if handover.materialised else f".shuffle(seed={handover.seed})"
    lines = [
        "from datasets import load_dataset",
        "from torchtitan.hf_datasets import DatasetConfig",
        "from torchtitan.hf_datasets.text_datasets import (",
        "    DATASETS,",
        "    HFDataSource,",
        "    InterleavedHuggingFaceTextDataLoader,",
        ")",
        "",
    ]
    for domain in handover.domains:
        source, key = domain.source, f"mixwise_{domain.name}"
        lines += [
            f"DATASETS[{key!r}] = DatasetConfig(",
            f"    path={domain.name!r},",
            f"    loader=lambda path: {load_call(source)}{shuffled},",
            f"    sample_processor=lambda sample: sample[{source.fields['text']!r}],",
            ")",
        ]
    lines += [
        "",
        "mixture = InterleavedHuggingFaceTextDataLoader.Config(",
        "    sources=[",
        *(
            f"        HFDataSource(dataset={key!r}, infinite=True, weight={weight!r}),"
            for key, weight in ((f"mixwise_{name}", weights[name]) for name in weights)
        ),
        "    ],",
        f"    seed={handover.seed},",
        ")",
        f"seq_len = {handover.sequence_length}",
        f"steps = {handover.n_steps}",
    ]
    n_sequences = handover.horizon_tokens / handover.sequence_length
    deviation = largest_deviation(weights, dict.fromkeys(weights, 1.0), n_sequences)
    notes = (draw_note(deviation),) if len(weights) > 1 else ()
    return Rendered(tuple(lines), weights, notes=notes)


TORCHTITAN = Trainer(
    name="torchtitan",
    title="torchtitan 0.3",
    file="mixture_torchtitan.py",
    weight="`weight` is the probability that the next packed sequence is of a source, so a share "
    "of tokens.",
    use="Import this module in a configuration, and take `mixture` as its `dataloader`.",
    long_rows="whole",
    reads=Reads(("text",), HUGGING_FACE_SUFFIXES, renames=("text",)),
    render=render,
    layouts=("as it stands", "text"),
)
