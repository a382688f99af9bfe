"""Which finished runs the study has been given, so that one that its user removes is made anew.

Method:
    A mark in the study says that a run was brought into its folder. A run that has one, and is not
    there any more, was removed by somebody: the next one is another *generation* of it, which has
    another name in the store, and which hosts begin without what they have of the one before. A run
    without a mark is one that never came home, such as one whose command was killed: it is gone on
    with. So a study whose whole folder is lost gets its finished runs back.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from mixwise.shortages import explain_failed_write


class Home:
    """The marks of one study.

    Args:
        study: Its folder.
    """

    def __init__(self, study: Path) -> None:
        self._marks = study / ".stored"

    def generation(self, run: str, *, is_there: bool) -> int:
        """Which generation of a run is asked for: 0, and one more each time it was removed.

        Args:
            run: Tells it from other runs.
            is_there: Whether its folder holds anything that could be gone on from.
        """
        n_given = len(list(self._marks.glob(f"{run}-*")))
        return max(n_given - is_there, 0)

    def note(self, run: str, generation: int) -> None:
        """Mark that a run was brought into its folder.

        Raises:
            ResourceError: If the mark cannot be written.
        """
        mark = self._marks / f"{run}-{generation}"
        try:
            mark.parent.mkdir(exist_ok=True)
            mark.touch()
        except OSError as error:
            raise explain_failed_write(error, mark) from None


def clear_older(folder: Path, generation: int) -> None:
    """Remove what a host has of an older generation of a run.

    Args:
        folder: Of the run, on the host.
        generation: The one that is asked for.

    Raises:
        ResourceError: If that cannot be removed.
    """
    if not generation:
        return
    note = folder.with_name(f".{folder.name}.generation-{generation}")
    if note.exists():
        return
    try:
        if folder.exists():
            shutil.rmtree(folder)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()
    except OSError as error:
        raise explain_failed_write(error, folder) from None
