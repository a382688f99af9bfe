"""The file of one stored task vector: its layout, and how it is written.

Notation:
    δ = θᵢ − θ₀: task vector of an expert.  q(δ): what its file holds.

Method:
    A safetensors file with all tensors of δ end to end (``deltas``, and ``scales`` for 8 bits),
    each padded to whole blocks of 128 elements. The header's metadata hold the index, the
    fingerprint, the relative error ‖δ − q(δ)‖ / ‖δ‖, and the hash of the whole file, taken with
    zeros in its own place. It is built in pieces of a million
    elements, whatever the size of the model, under a name of its own, and moved into place when it
    is whole: a killed build leaves nothing that is read, and two builders do not disturb each
    other.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import itertools
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import torch

from mixwise.errors import CheckpointError
from mixwise.merging.task_vectors.encoding import BLOCK, StorePrecision, encode
from mixwise.merging.task_vectors.task_vector import DirectTaskVector
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.live_model import LiveModel

if TYPE_CHECKING:
    from torch import Tensor

_NO_HASH = "0" * 32  # in place of the hash while it is not known
_PIECE = 1 << 20  # elements that are encoded at a time
_DTYPES: Mapping[StorePrecision, str] = {"float32": "F32", "bfloat16": "BF16", "int8": "I8"}
_ELEMENT_BYTES: Mapping[StorePrecision, int] = {"float32": 4, "bfloat16": 2, "int8": 1}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each tensor lies in the flat file.

    Args:
        shapes: Shape by canonical name, in the order of the file.
        precision: How the numbers are written down.
    """

    shapes: Mapping[str, tuple[int, ...]]
    precision: StorePrecision

    @property
    def offsets(self) -> dict[str, int]:
        """First element of each tensor."""
        return tensor_offsets(self.shapes)

    @property
    def n_elements(self) -> int:
        """Elements of all tensors, each padded to whole blocks."""
        return sum(_padded(shape) for shape in self.shapes.values())

    @property
    def n_delta_bytes(self) -> int:
        """Bytes of the numbers without their scales."""
        return self.n_elements * _ELEMENT_BYTES[self.precision]

    @property
    def n_scales(self) -> int:
        """Number of scales; 0 where there are none."""
        return self.n_elements // BLOCK if self.precision == "int8" else 0

    def header(
        self, fingerprint: str, relative_error: float, content_hash: str = _NO_HASH
    ) -> bytes:
        """The file's start; its length does not depend on error and hash, which are known last."""
        metadata = {
            "content_hash": content_hash,
            "fingerprint": fingerprint,
            "relative_error": f"{relative_error:.9e}",
            "shapes": json.dumps(self.shapes),
        }
        end = self.n_delta_bytes
        flat: dict[str, object] = {
            "dtype": _DTYPES[self.precision],
            "shape": [self.n_elements],
            "data_offsets": [0, end],
        }
        header: dict[str, object] = {"__metadata__": metadata, "deltas": flat}
        if self.precision == "int8":
            spans = [end, end + 4 * self.n_scales]
            header["scales"] = {"dtype": "F32", "shape": [self.n_scales], "data_offsets": spans}
        text = json.dumps(header).encode()
        text += b" " * (-(len(text) + 8) % BLOCK)  # numbers start on a cache line
        return len(text).to_bytes(8, "little") + text


def tensor_offsets(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """First element of each tensor in the flat file, a multiple of 128."""
    ends = itertools.accumulate(map(_padded, shapes.values()), initial=0)
    return dict(zip(shapes, ends, strict=False))


@contextlib.contextmanager
def part_file(file: Path) -> Iterator[IO[bytes]]:
    """A file under a name of its own that takes the place of ``file`` when the block ends well.

    It is locked while it is written: what lies there without a lock is left of a killed build and
    is removed.
    """
    for left in file.parent.glob(f"{glob.escape(file.stem)}-*.part"):
        with contextlib.suppress(OSError), left.open("rb") as opened:  # gone, or being written
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()
    with _open_part(file) as opened:
        try:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
            Path(opened.name).replace(file)
        except BaseException:
            Path(opened.name).unlink(missing_ok=True)
            raise


def _open_part(file: Path) -> IO[bytes]:
    while True:
        opened = tempfile.NamedTemporaryFile(  # noqa: SIM115  closed by the caller
            dir=file.parent, prefix=f"{file.stem}-", suffix=".part", delete=False
        )
        fcntl.flock(opened, fcntl.LOCK_EX)
        if Path(opened.name).exists():  # not taken for a leftover before it was locked
            return opened
        opened.close()


def write_task_vector(
    file: IO[bytes], live: LiveModel, expert: Checkpoint, precision: StorePrecision, mark: str
) -> None:
    """Write the task vector of an expert.

    Args:
        file: Empty, open for writing and reading.
        live: The live model of the base.
        expert: A full checkpoint that fits it.
        precision: How the numbers are written down.
        mark: Fingerprint for the header.

    Raises:
        CheckpointError: If the expert doesn't fit the base or holds a number that is not finite;
            the text names the first tensor.
    """
    vector = DirectTaskVector(live, expert)
    layout = Layout({n: tuple(t.shape) for n, t in live.tensors.items() if n in vector}, precision)
    start = len(layout.header(mark, 0.0))
    energy = lost = 0.0
    for name, offset in layout.offsets.items():
        for first in range(0, math.prod(layout.shapes[name]), _PIECE):
            delta = vector.part(name, first, _PIECE)
            _require_finite(delta, name, expert)
            encoded = encode(delta, precision)
            energy += float(delta.double().square().sum())
            lost += float((encoded.decode()[: delta.numel()] - delta).double().square().sum())
            at = offset + first
            _write_at(file, start + at * _ELEMENT_BYTES[precision], encoded.deltas)
            if encoded.scales is not None:
                _write_at(file, start + layout.n_delta_bytes + at // BLOCK * 4, encoded.scales)
    relative_error = math.sqrt(lost / energy) if energy else 0.0
    header = layout.header(mark, relative_error)
    file.seek(0)
    file.write(header)
    content_hash = _hash_rest(file, header)
    file.seek(0)
    file.write(layout.header(mark, relative_error, content_hash))


def hash_store_file(path: Path) -> str:
    """Hash of a file of the store as its header should have it.

    Returns:
        32 digits; all zero where the header names no hash.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(8)
        header = start + file.read(min(int.from_bytes(start, "little"), path.stat().st_size))
        noted = _noted_hash(header)
        if noted is None:
            return _NO_HASH
        return _hash_rest(file, header.replace(noted, _NO_HASH.encode(), 1))


def noted_hash(path: Path) -> str | None:
    """The hash that a file's header names; None where there is no whole header.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(8)
        n_bytes = min(int.from_bytes(start, "little"), path.stat().st_size)
        noted = _noted_hash(start + file.read(n_bytes))
    return None if noted is None else noted.decode()


def _noted_hash(header: bytes) -> bytes | None:
    try:
        found = json.loads(header[8:])["__metadata__"]["content_hash"].encode()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return found if len(found) == len(_NO_HASH) and found in header else None


def _hash_rest(file: IO[bytes], header: bytes) -> str:
    """Hash of a header and of all that follows it in the file; of 128 bits."""
    digest = hashlib.blake2b(header)
    file.flush()
    file.seek(len(header))
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()[:32]


def _require_finite(delta: Tensor, name: str, expert: Checkpoint) -> None:
    if not bool(delta.isfinite().all()):
        raise CheckpointError(
            f"{expert.folder}: tensor `{name}` must be finite, but holds NaN or infinity: "
            "train the expert again with a lower learning rate"
        )


def _write_at(file: IO[bytes], position: int, values: Tensor) -> None:
    file.seek(position)
    file.write(values.view(torch.uint8).numpy().data)


def _padded(shape: tuple[int, ...]) -> int:
    return -(-math.prod(shape) // BLOCK) * BLOCK
