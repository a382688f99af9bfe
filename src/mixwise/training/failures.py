"""What was full where a run failed, in one line."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError

from mixwise.errors import ResourceError, first_line
from mixwise.shortages import explain_failed_write, explain_shortage

_NEXT_TO_NOTHING_BYTES = 2**20


@contextmanager
def failures_explained(folder: Path) -> Iterator[None]:
    """Say in one line what was full: the GPU's memory, the machine's, or the disk.

    Args:
        folder: Of the run.

    Raises:
        ResourceError: Instead of the error of what was full.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ResourceError(
            f"{folder}: not enough memory on the GPU ({first_line(error)}): lower "
            "`training.batch_sequences` or raise `training.gradient_accumulation_steps`"
        ) from None
    except (OSError, SafetensorError, RuntimeError, MemoryError) as error:
        shortage = explain_shortage(error, folder)
        if shortage is not None:
            raise shortage from None
        if not (isinstance(error, OSError | SafetensorError) or _is_failed_write(error)):
            raise
        raise explain_failed_write(_reason(error, folder), folder) from None


def _is_failed_write(error: Exception) -> bool:
    """Whether torch could not write a snapshot."""
    return any(sign in str(error) for sign in ("PytorchStreamWriter", "inline_container"))


def _reason(error: Exception, folder: Path) -> Exception:
    """The error, or that of a full disk where torch does not say what was wrong with it."""
    if _is_failed_write(error) and shutil.disk_usage(folder).free < _NEXT_TO_NOTHING_BYTES:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return error
