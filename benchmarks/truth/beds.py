"""The settings in which truth was made: a base, domains, an optimiser, a horizon.

A bed is one recipe of mixwise. All texts ship with the demo; so does the base, except those of
other widths, which `tools/demo/pretrain_base.py` makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import mixwise

DEMO = Path(mixwise.__file__).parent / "demo"
FIVE = ("python", "c", "german", "french", "glosses")
NINE = (*FIVE, "spanish", "sqlite", "perl", "libc")
_TEXTS = (*NINE, "outils")
STANDARD_TOKENS = 32_768
SEQUENCE_TOKENS = 128
_LADDER_SEQUENCES = 16  # evaluated per set where the model is expensive


@dataclass(frozen=True, slots=True)
class Bed:
    """One setting.

    Args:
        name: Name of its tables.
        design: Which mixtures are trained: ``full``, ``around`` or ``few``.
        domains: What is mixed; the other texts are evaluation sets.
        horizon_tokens: Tokens of one run.
        training: What differs from the standard bed's training.
        width: Hidden size of its base; None for the demo's own base.
        max_sequences: Evaluated per set.
        n_trajectory: Checkpoints along each expert's run.
    """

    name: str
    design: str = "around"
    domains: tuple[str, ...] = FIVE
    horizon_tokens: int = STANDARD_TOKENS
    training: Mapping[str, Any] = field(default_factory=dict)
    width: int | None = None
    max_sequences: int = 32
    n_trajectory: int = 7

    @property
    def sets(self) -> tuple[str, ...]:
        """Every text that is evaluated: held-out parts of the domains, and the other texts."""
        return (*self.domains, *(text for text in _TEXTS if text not in self.domains))

    def recipe(self, bases: Path) -> str:
        """The recipe, as YAML.

        Args:
            bases: Folder of the bases of other widths.
        """
        base = DEMO / "base" if self.width is None else bases / f"width-{self.width}"
        others = [text for text in _TEXTS if text not in self.domains]
        training = {"learning_rate": 1.0e-3, "batch_sequences": 16, "warmup_steps": 3}
        recipe = {
            "base": str(base),
            "domains": {name: {"files": _file(name)} for name in self.domains},
            "horizon_tokens": self.horizon_tokens,
            "sequence_length": SEQUENCE_TOKENS,
            "evaluation": {
                "sets": {name: {"files": _file(name)} for name in others},
                "max_sequences": self.max_sequences,
                "batch_sequences": min(32, self.max_sequences),
            },
            "training": {
                **training,
                **self.training,
                "trajectory_checkpoints": self.n_trajectory,
                "snapshots": 0,
            },
            "search": {"max_repetition": 100},
            "experts": {"horizon_tokens": self.horizon_tokens},
            "proxy": {"answer": "merged", "continued": False},
            "calibration": {"mixtures": 0},
            "final": {"train": False},
        }
        return yaml.safe_dump(recipe, sort_keys=False)


def _file(text: str) -> str:
    return str(DEMO / "data" / f"{text}.jsonl.gz")


def _ladder(width: int, design: str) -> Bed:
    sequences = _LADDER_SEQUENCES
    return Bed(f"width-{width}", design, width=width, max_sequences=sequences, n_trajectory=0)


BEDS: Mapping[str, Bed] = {
    bed.name: bed
    for bed in (
        Bed("standard", "full"),
        Bed("nine", "nine", NINE),
        Bed("short", horizon_tokens=8_192),
        Bed("sgd", training={"optimizer": "sgd", "learning_rate": 0.1}),
        Bed("lora", training={"method": "lora", "learning_rate": 4.0e-3}),
        Bed("rate-high", training={"learning_rate": 4.0e-3}),
        Bed("rate-low", training={"learning_rate": 2.5e-4}),
        Bed("long", horizon_tokens=131_072),
        _ladder(32, "around"),
        _ladder(384, "around"),
        _ladder(64, "few"),
        _ladder(128, "few"),
        _ladder(256, "few"),
        Bed("longest", horizon_tokens=262_144),
    )
}
