"""The table of what is fuzzed: seeds that are valid, how they are changed, and who reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

Read = Callable[[Path, Random], object]
Change = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    Args:
        name: Of the line that is printed.
        file: Name of the file that the input is written to, below a folder of its own.
        seeds: Valid contents of that file.
        change: Makes a hostile one of a valid one.
        read: Reads the file's folder as mixwise does; a result or a `MixwiseError` is right.
        share: Of all inputs, as a weight beside those of the other kinds.
        beside: Valid files that stand beside it, by name.
    """

    name: str
    file: str
    seeds: Sequence[bytes]
    change: Change
    read: Read
    share: int
    beside: Mapping[str, bytes]


def make_input(kind: Kind, number: int, seed: int) -> bytes:
    """The input with this number, the same each time."""
    rng = Random(f"{seed} {kind.name} {number}")
    return kind.change(rng.choice(kind.seeds), rng)


def place_input(kind: Kind, content: bytes, folder: Path) -> None:
    """Write an input, and what stands beside it, into an empty folder."""
    for name, held in {**kind.beside, kind.file: content}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(held)
