"""The experts that a user brings, opened, in the form in which they are merged.

Method:
    Adapters stay adapters where all experts are sums of two factors; else each is the full model
    that it makes of the base. Full models whose tensors transformers joins or splits on load are
    read from a copy, and so are those with the head of their own domain alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from mixwise.files import HashFile
from mixwise.label_heads import LabelHeads
from mixwise.merging.fit.labels import require_same_labels
from mixwise.merging.fit.own_head import has_own_head, with_all_heads
from mixwise.merging.fit.processor import require_same_processor
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.recipe import Recipe
from mixwise.study.opened_base import OpenedBase, find_model_folder


class BroughtExperts:
    """The experts of a recipe's domains; each is opened when it is first asked for.

    Args:
        recipe: The recipe.
        recipe_folder: Where its relative paths start from.
        base: The base, opened.
        heads: Names the base's outputs; none for a task without labels.
        hash_file: Hashes files.
    """

    def __init__(
        self,
        recipe: Recipe,
        recipe_folder: Path,
        base: OpenedBase,
        heads: Callable[[], LabelHeads],
        *,
        hash_file: HashFile,
    ) -> None:
        self._recipe = recipe
        self._recipe_folder = recipe_folder
        self._base = base
        self._heads = heads
        self._hash_file = hash_file
        self._given: dict[str, Checkpoint] = {}
        self._merged: dict[str, Checkpoint] = {}

    def given(self, domain: str) -> Checkpoint | None:
        """The expert of a domain as it was saved, or None where none is brought."""
        named = self._recipe.domains[domain].expert
        if named is None:
            return None
        if domain not in self._given:
            self._given[domain] = self._open(domain, named)
        return self._given[domain]

    def merged(self, domain: str) -> Checkpoint | None:
        """The expert of a domain as it is merged, or None; its folder may be that of a copy."""
        given = self.given(domain)
        if given is None:
            return None
        if domain not in self._merged:
            self._merged[domain] = self._in_common_form(self._with_all_heads(domain, given))
        return self._merged[domain]

    @property
    def shortest_tokens(self) -> int | None:
        """What the shortest has read, where all are brought and their folders tell it."""
        if any(domain.expert is None for domain in self._recipe.domains.values()):
            return None
        from mixwise.study.expert_training import read_training_facts

        given = [self.given(name) for name in self._recipe.domains]
        facts = [read_training_facts(expert.folder) for expert in given if expert is not None]
        known = [fact.n_tokens for fact in facts if fact is not None and fact.n_tokens]
        return min(known) if len(known) == len(facts) else None

    def _open(self, domain: str, named: str) -> Checkpoint:
        key = f"domains.{domain}.expert"
        folder = find_model_folder(named, self._recipe_folder, key, code=False)
        expert = open_checkpoint(folder, hash_file=self._hash_file)
        names = self._heads().names
        has_names = bool(names) and not expert.is_adapter  # an adapter has none, which `check` says
        if has_names and not has_own_head(folder, self._heads().of(domain), names):
            require_same_labels(folder, names)
        if self._recipe.task_facts.has_images:
            require_same_processor(self._base.folder, folder)
        return expert

    def _with_all_heads(self, domain: str, given: Checkpoint) -> Checkpoint:
        """An expert that has the head of its domain alone, with those of the others beside it."""
        heads = self._heads()
        if heads.is_shared or given.is_adapter:
            return given
        head, base = heads.of(domain), self._base
        if not has_own_head(given.folder, head, heads.names):
            return given
        return with_all_heads(
            given, base.checkpoint, head, heads.names, base.label_tensors, base.copies
        )

    def _in_common_form(self, given: Checkpoint) -> Checkpoint:
        if not given.is_adapter:
            return self._base.in_module_layout(given)
        return self._base.as_full_model(given) if self._are_full_models else given

    @cached_property
    def _are_full_models(self) -> bool:
        """Whether an expert is a full model, or an adapter that only a full model equals."""
        from mixwise.merging.dense_adapters import is_dense

        given = [self.given(name) for name in self._recipe.domains]
        brought = [expert for expert in given if expert is not None]
        if len(brought) < len(given) and self._recipe.training.method == "full":
            return True
        return any(not expert.is_adapter or is_dense(expert) for expert in brought)
