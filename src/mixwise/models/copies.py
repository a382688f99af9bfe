"""Checkpoints written again in a form that can be merged, kept in the cache and looked up there.

Method:
    A copy is a plain folder. It is made beside its place and moved there whole; a note in it says
    what its content was. A copy whose content is another by now is made anew.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixwise.errors import CheckpointError
from mixwise.files import HashFile, hash_file
from mixwise.models.checkpoint import CONFIG, Checkpoint, open_checkpoint
from mixwise.shortages import explain_failed_write
from mixwise.tasks import CAUSAL_LM

_NOTE = "copied.json"
_BESIDE = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".py")
_NOT_BESIDE = (CONFIG, "adapter_config.json", "generation_config.json", _NOTE)


@dataclass(frozen=True, slots=True)
class Copies:
    """Where copies lie, and how the models in them are opened.

    Args:
        cache: Folder of all copies; made when it is missing.
        auto_class: Class of transformers that opens the models.
        trust_remote_code: Whether code from a model's folder may run.
        hash_file: Hashes a file; a study passes one that remembers unchanged files.
    """

    cache: Path
    auto_class: str = CAUSAL_LM.auto_class
    trust_remote_code: bool = False
    hash_file: HashFile = hash_file

    def find_or_make(
        self, original: Checkpoint, form: str, write: Callable[[Path], None]
    ) -> Checkpoint:
        """The copy of a checkpoint in some form; made if there is none.

        Args:
            original: What is copied.
            form: Says which form, and with what it is made: part of the copy's name.
            write: Saves the model into an empty folder; what lies beside the original's tensors
                (tokenizer, notes on its training) is copied there afterwards.

        Raises:
            ResourceError: If it cannot be written.
        """
        place = self.cache / f"{original.folder.resolve().name}-{original.fingerprint}-{form}"
        found = self._find(place)
        if found is not None:
            return found
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.cache, prefix=".partial-") as made:
                folder = Path(made) / "copy"
                folder.mkdir()
                write(folder)
                _copy_beside(original.folder, folder)
                fingerprint = open_checkpoint(folder).fingerprint
                (folder / _NOTE).write_text(json.dumps({"fingerprint": fingerprint}), "utf-8")
                if self._find(place) is None:  # else another process has made it by now
                    shutil.rmtree(place, ignore_errors=True)
                    folder.rename(place)
        except OSError as error:
            found = self._find(place)  # made by another process in the meantime
            if found is not None:
                return found
            raise explain_failed_write(error, place) from None
        return open_checkpoint(place, hash_file=self.hash_file)

    def _find(self, place: Path) -> Checkpoint | None:
        """A copy that is what its note says."""
        try:
            note: dict[str, Any] = json.loads((place / _NOTE).read_text("utf-8"))
            found = open_checkpoint(place, hash_file=self.hash_file)
        except (OSError, ValueError, CheckpointError):
            return None
        return found if found.fingerprint == note.get("fingerprint") else None


def _copy_beside(original: Path, folder: Path) -> None:
    for file in sorted(original.iterdir()):
        is_wanted = file.suffix in _BESIDE and not file.name.endswith(".index.json")
        if is_wanted and file.name not in _NOT_BESIDE and not (folder / file.name).exists():
            shutil.copyfile(file, folder / file.name)
