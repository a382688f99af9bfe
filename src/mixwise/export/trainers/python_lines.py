"""Lines of Python that open the files of a source by `datasets`."""

from __future__ import annotations

from mixwise.export.handover import HandedSource
from mixwise.export.trainers.datasets_library import BUILDERS


def load_call(source: HandedSource) -> str:
    """A call of `load_dataset` that gives the rows of a source.

    Args:
        source: One source, of files that `datasets` opens or of the hub.
    """
    if source.hub is None:
        assert source.format is not None  # files have one
        files = [str(path) for path in source.files]
        return f'load_dataset({BUILDERS[source.format]!r}, data_files={files!r}, split="train")'
    hub = source.hub
    config = f", {hub.config!r}" if hub.config else ""
    revision = f", revision={hub.revision!r}" if hub.revision else ""
    return f"load_dataset({hub.dataset!r}{config}, split={hub.split!r}{revision})"
