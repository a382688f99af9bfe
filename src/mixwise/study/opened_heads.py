"""The heads of a base with labels, opened: which outputs answer for which domain or set."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from mixwise.kinds.labels import LabelKeys
from mixwise.label_heads import LabelHead, LabelHeads
from mixwise.merging.kept_heads import KeptHeads
from mixwise.recipe import Recipe
from mixwise.study.label_names import (
    choose_head,
    name_heads,
    name_labels,
    read_labels,
    read_numbered,
)
from mixwise.study.opened_base import OpenedBase
from mixwise.study.sources import OpenedSources


class OpenedHeads:
    """The heads of a base; labels are read from the data when they are first asked for.

    Args:
        recipe: The recipe.
        folder: Folder that its relative paths start from.
        base: The base, whose configuration names its outputs.
        sources: Where the rows of domains and sets come from.
    """

    def __init__(
        self, recipe: Recipe, folder: Path, base: OpenedBase, sources: OpenedSources
    ) -> None:
        self._recipe = recipe
        self._folder = folder
        self._base = base
        self._sources = sources
        self._chosen: dict[str, LabelHead] = {}  # of sets outside the domains

    @cached_property
    def heads(self) -> LabelHeads:
        """The heads of the base; one without outputs for a task without labels.

        Raises:
            RecipeError: If the base's outputs are not those of the data's labels.
        """
        if not self._recipe.task_facts.has_labels:
            return LabelHeads.shared(())
        named = self._base.config.id2label
        if self._recipe.labels == "per-domain":
            domains = self._recipe.domain_names
            return name_heads(
                named,
                {name: self._read_labels(name) for name in domains},
                {name: self._read_numbered(name) for name in domains},
            )
        names = self._recipe.tokenised_sets
        found = itertools.chain.from_iterable(map(self._read_labels, names))
        numbered = itertools.chain.from_iterable(map(self._read_numbered, names))
        return LabelHeads.shared(name_labels(named, found, numbered))

    def of(self, name: str) -> LabelHead:
        """The outputs that answer for a domain or evaluation set of a task with labels.

        Raises:
            RecipeError: If the domains have heads of their own, and the set's labels fit none of
                them, or several, and the recipe names none.
        """
        if self.heads.is_shared:
            return self.heads.heads[0]
        if name in self._recipe.domains:
            return self.heads.of(name)
        if name not in self._chosen:
            keys = self._recipe.evaluation.sets[name].own
            named = keys.head if isinstance(keys, LabelKeys) else None
            self._chosen[name] = (
                choose_head(self.heads, self._read_labels(name), self._sources.key(name))
                if named is None
                else self.heads.of(named)
            )
        return self._chosen[name]

    @cached_property
    def kept(self) -> KeptHeads | None:
        """Rows of the base's head that each domain keeps in a merge; None where none does.

        Raises:
            CheckpointError: If it is not known which tensors have a row for each label.
        """
        if self.heads.is_shared:
            return None
        rows = {name: self.heads.of(name).outputs for name in self._recipe.domains}
        return KeptHeads(self._base.label_tensors, rows)

    def _read_labels(self, name: str) -> Iterator[str]:
        """The label of every row of a domain or set; opened when the first is asked for."""
        for each in self._sources.portions(name):
            yield from read_labels(each.source, self._folder, each.key)

    def _read_numbered(self, name: str) -> Iterator[tuple[str, ...]]:
        """Names of labels as each source of a domain or set numbers them; opened likewise."""
        for each in self._sources.portions(name):
            yield read_numbered(each.source, each.key)
