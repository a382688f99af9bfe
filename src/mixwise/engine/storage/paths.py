"""Jobs with paths: which files a job names, and the same job with other paths.

Method:
    A job is a value that crosses processes by pickle. While it is pickled every path in it is put
    aside by number, wherever it stands; while it is unpickled another path takes its place. So no
    kind of job has to be known here, and one with a new field of files travels too.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class PackedJob:
    """A job without its paths.

    Args:
        content: The pickled job.
        paths: The absolute paths that it names, each once.
    """

    content: bytes
    paths: tuple[str, ...]


def pack(job: Any) -> PackedJob:
    """Take the paths out of a job.

    Args:
        job: A value that can be pickled.
    """
    numbers: dict[str, int] = {}

    class Packer(pickle.Pickler):
        def persistent_id(self, value: Any) -> int | None:
            if not isinstance(value, Path):
                return None
            return numbers.setdefault(str(value.absolute()), len(numbers))

    buffer = io.BytesIO()
    Packer(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(job)
    return PackedJob(buffer.getvalue(), tuple(numbers))


def unpack(packed: PackedJob, place: Callable[[Path], Path]) -> Any:
    """The job with other paths.

    Args:
        packed: The job; only what another process of the same study has packed.
        place: What takes the place of a path.
    """
    paths = [place(Path(path)) for path in packed.paths]

    class Unpacker(pickle.Unpickler):
        def persistent_load(self, number: Any) -> Path:
            return paths[number]

    return Unpacker(io.BytesIO(packed.content)).load()
