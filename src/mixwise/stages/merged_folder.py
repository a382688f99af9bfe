"""A merged model as a folder that anyone can load: tensors, tokenizer, card."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mixwise.errors import RecipeError
from mixwise.shortages import explain_failed_write
from mixwise.stages.model_card import MergeFacts, render_card, render_mergekit

Form = Literal["model", "adapter"]
_SHARD = "5GB"  # as models of the hub are cut
MERGEKIT_FILE = "mergekit.yaml"


@dataclass(frozen=True, slots=True)
class MergedModel:
    """A merge that was written.

    Args:
        folder: Where it is.
        form: A full model, or an adapter of the base.
        shares: Share or merge weight of each expert, by name.
        rule: Merge rule.
        precision: Of its tensors.
        n_bytes: Size of its tensor files.
    """

    folder: Path
    form: Form
    shares: Mapping[str, float]
    rule: str
    precision: str
    n_bytes: int

    @classmethod
    def of(cls, folder: Path, facts: MergeFacts) -> MergedModel:
        """What lies in a folder that is finished."""
        return cls(
            folder,
            "adapter" if facts.is_adapter else "model",
            {part.name: part.share for part in facts.parts},
            facts.rule,
            facts.precision,
            sum(file.stat().st_size for file in folder.glob("*.safetensors")),
        )

    def to_json(self) -> dict[str, object]:
        """All of it in one object."""
        return {
            "folder": str(self.folder),
            "form": self.form,
            "shares": dict(self.shares),
            "rule": self.rule,
            "precision": self.precision,
            "bytes": self.n_bytes,
        }


@contextmanager
def new_folder(place: Path) -> Iterator[Path]:
    """A folder that is there when the block has ended, whole, or not at all.

    Args:
        place: Where; nothing may be there but an empty folder.

    Raises:
        RecipeError: If something is.
        ResourceError: If it cannot be written.
    """
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise RecipeError(
            f"`--to`: {place} must be a new or empty folder, but holds something: name another"
        )
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".partial-") as made:
            folder = Path(made) / "merged"
            folder.mkdir()
            yield folder
            if place.exists():
                place.rmdir()
            folder.rename(place)
    except OSError as error:
        raise explain_failed_write(error, place) from None


def save_merged_model(
    module: Any, folder: Path, base: Path, facts: MergeFacts, chat_template: str | None = None
) -> None:
    """Save a merged module, in the layout in which its base was saved, with all that belongs to it.

    Tensors of the base that its architecture has no module for are copied as they are.

    Args:
        module: A module of transformers, loaded from the base's folder.
        folder: An empty folder.
        base: The base's folder, for tokenizer or image processor.
        facts: For the card.
        chat_template: In place of the tokenizer's own.
    """
    from mixwise.models.checkpoint import open_checkpoint
    from mixwise.models.loading import map_names, never_built
    from mixwise.training.saving import copy_tokenizer

    state, stored = module.state_dict(), open_checkpoint(base)
    entries = {name: (entry.dtype, entry.shape) for name, entry in stored.tensors.items()}
    unread = map_names(module, base, entries).unexpected
    beside = {name: stored.load_tensor(name) for name in never_built(unread, state)}
    module.save_pretrained(folder, state_dict={**state, **beside}, max_shard_size=_SHARD)
    copy_tokenizer(base, folder, chat_template)
    for code in base.glob("*.py"):
        shutil.copyfile(code, folder / code.name)
    save_card(folder, facts)


def save_card(folder: Path, facts: MergeFacts) -> None:
    """Write the model card; beside a linear merge of full models mergekit's configuration too."""
    (folder / "README.md").write_text(render_card(facts), encoding="utf-8")
    if facts.is_linear and not facts.is_adapter:
        (folder / MERGEKIT_FILE).write_text(render_mergekit(facts), encoding="utf-8")
