"""Everything that a recipe names, opened and checked: base, tokenizer, corpora, evaluation sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mixwise.data.chat_template import ChatTemplate
from mixwise.data.corpus import (
    Corpus,
    Encoder,
    LabelledRows,
    find_corpus_key,
    find_overlap,
    locate_hash,
    prepare_corpus,
)
from mixwise.data.examples import ExampleEncoder
from mixwise.data.heldout import HeldoutRows
from mixwise.data.hub import KeptStream
from mixwise.data.image_processor import open_image_encoder
from mixwise.data.matching import (
    expand_user,
    warn_of_left_out,
)
from mixwise.data.sources import open_documents, read_records
from mixwise.data.tokenising import hash_text
from mixwise.data.tokenizer import BaseTokenizer
from mixwise.errors import DataError, MixwiseError, RecipeError
from mixwise.evaluation.context import length_boundaries
from mixwise.evaluation.sets import EvaluationSet, Opening, open_set
from mixwise.evaluation.suite import EvaluationSuite
from mixwise.files import HashFile, hash_file
from mixwise.kinds import KINDS
from mixwise.kinds.generation import GenerationKeys
from mixwise.label_heads import LabelHead, LabelHeads
from mixwise.merging.kept_heads import KeptHeads
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.models.checkpoint import Checkpoint
from mixwise.progress import OnProgress, silent
from mixwise.recipe import Portion, Recipe, TextSource
from mixwise.records.record import Document
from mixwise.section import Section
from mixwise.share_units import ShareUnit, convert_shares
from mixwise.study.brought_experts import BroughtExperts
from mixwise.study.contamination import SetLeaks, find_leaks
from mixwise.study.horizons import Horizons, plan_horizons
from mixwise.study.kept_runs import KeptRuns
from mixwise.study.opened_base import OpenedBase
from mixwise.study.opened_heads import OpenedHeads
from mixwise.study.sources import OpenedSources
from mixwise.study.token_needs import unmet_token_needs


@dataclass(frozen=True, slots=True)
class Settings:
    """What does not come from the recipe: where it lies, where caches lie, what may run.

    Args:
        recipe_folder: Where the recipe's relative paths start from.
        cache: Folder of the token cache.
        trust_remote_code: Whether code from a model's folder may run.
        kept: Runs of another study that are gone on with.
    """

    recipe_folder: Path
    cache: Path
    trust_remote_code: bool = False
    kept: KeptRuns | None = None


class Inputs:
    """The inputs of a recipe; each is opened when it is first asked for.

    Args:
        recipe: The recipe.
        settings: Folders and permissions.
        hash_file: Hashes files; a study passes one that remembers unchanged files.
        on_progress: Told how far tokenising has come.
    """

    def __init__(
        self,
        recipe: Recipe,
        settings: Settings,
        *,
        hash_file: HashFile = hash_file,
        on_progress: OnProgress = silent,
    ) -> None:
        self.recipe = recipe
        self.settings = settings
        self._task = recipe.task_facts
        self._hash_file = hash_file
        self.on_progress = on_progress
        self._base = OpenedBase(
            recipe,
            settings.recipe_folder,
            settings.cache,
            trust_remote_code=settings.trust_remote_code,
            hash_file=hash_file,
        )
        self._sources = OpenedSources(recipe, settings.recipe_folder, settings.cache, on_progress)
        self._label_heads = OpenedHeads(recipe, settings.recipe_folder, self._base, self._sources)
        self._experts = BroughtExperts(
            recipe,
            settings.recipe_folder,
            self._base,
            lambda: self.heads,
            hash_file=hash_file,
        )
        self._corpora: dict[str, Corpus] = {}
        self._encoders: dict[LabelHead, Encoder] = {}

    @property
    def base_folder(self) -> Path:
        """See `OpenedBase.folder`."""
        return self._base.folder

    @property
    def base(self) -> Checkpoint:
        """See `OpenedBase.checkpoint`."""
        return self._base.checkpoint

    @property
    def config(self) -> Any:
        """See `OpenedBase.config`."""
        return self._base.config

    @property
    def tokenizer(self) -> BaseTokenizer:
        """See `OpenedBase.tokenizer`."""
        return self._base.tokenizer

    @property
    def context_tokens(self) -> int:
        """See `OpenedBase.context_tokens`."""
        return self._base.context_tokens

    @property
    def heads(self) -> LabelHeads:
        """See `OpenedHeads.heads`."""
        return self._label_heads.heads

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the base's outputs, in their order; none for a task without labels."""
        return self.heads.names

    def head_of(self, name: str) -> LabelHead:
        """See `OpenedHeads.of`."""
        return self._label_heads.of(name)

    @property
    def kept_heads(self) -> KeptHeads | None:
        """See `OpenedHeads.kept`."""
        return self._label_heads.kept

    @property
    def start_of_text(self) -> int | None:
        """Token that every row of a run begins with; None where none does, or there are none."""
        return None if self._task.has_labels else self.tokenizer.start_of_text

    def encoder(self, name: str) -> Encoder:
        """What makes tokens of a domain's or set's texts, or examples of what is labelled."""
        if not self._task.has_labels:
            return self.tokenizer
        head = self.head_of(name)
        if head not in self._encoders:
            self._encoders[head] = self._open_encoder(head)
        return self._encoders[head]

    def _open_encoder(self, head: LabelHead) -> Encoder:
        if self._task.has_images:
            trusts = self.settings.trust_remote_code
            return open_image_encoder(self.base_folder, self.config, head, trust_remote_code=trusts)
        width = min(self.recipe.example_tokens, self.context_tokens)
        return ExampleEncoder(self.tokenizer.tokenizer, head, width)

    @cached_property
    def chat_template(self) -> ChatTemplate:
        """What conversations are rendered by.

        Raises:
            CheckpointError: If neither the recipe nor the tokenizer has one.
            RecipeError: If the recipe's cannot be read.
        """
        chosen = self.recipe.chat_template
        file = None if chosen is None else self.settings.recipe_folder / expand_user(chosen)
        return ChatTemplate(self.tokenizer, file)

    def source(self, name: str) -> TextSource:
        """Where the records of a domain or evaluation set come from, and what they are.

        Raises:
            DataError: If the recipe does not say what they are, and their first row may be two.
        """
        return self._sources.source(name)

    @property
    def streams(self) -> Mapping[str, KeptStream]:
        """What was read of streams, by the key path of each source that was opened."""
        return self._sources.streams

    def portions(self, name: str) -> tuple[Portion, ...]:
        """The sources that a domain or evaluation set is made of."""
        return self._sources.portions(name)

    def records(self, name: str) -> Iterator[Any]:
        """The records of a domain or evaluation set, conversations as documents."""
        folder = self.settings.recipe_folder
        return read_records(self.source(name), folder, self.key(name), self.chat_of(name))

    def documents(self, name: str) -> list[Iterator[Document]]:
        """The documents of each source of a domain or set, whatever their weights let in."""
        folder = self.settings.recipe_folder
        return open_documents(self.source(name), folder, self.key(name), self.chat_of(name))

    def chat_of(self, name: str) -> ChatTemplate | None:
        """What makes documents of its conversations; None for a domain or set without any."""
        return self.chat_template if self._holds_chats(name) else None

    def _holds_chats(self, name: str) -> bool:
        return any(each.source.record_format.is_chat for each in self.portions(name))

    def _require_use_of_template(self) -> None:
        recipe = self.recipe
        asks = (
            isinstance(chosen.own, GenerationKeys) and chosen.own.apply_chat_template
            for chosen in recipe.evaluation.sets.values()
        )
        holds = (self._holds_chats(name) for name in recipe.tokenised_sets)
        if recipe.chat_template is not None and not any(asks) and not any(holds):
            raise RecipeError(
                "`chat_template` has no effect, because no domain or set holds conversations, or "
                "asks by it (`apply_chat_template`): leave it out"
            )

    @property
    def _fitting_length(self) -> int:
        length = self.recipe.sequence_length
        if length > self.context_tokens:
            raise RecipeError(
                f"`sequence_length` must be at most {self.context_tokens}, the context of the "
                f"base, but got {length}: lower it"
            )
        return length

    def corpus(self, name: str) -> Corpus:
        """A domain or text evaluation set, tokenised."""
        if name not in self._corpora:
            self._corpora[name] = self._prepare(name)
        return self._corpora[name]

    def _prepare(self, name: str) -> Corpus:
        """Tokenise one domain or text evaluation set, or find it in the cache.

        Raises:
            DataError: If its files are missing, empty or broken.
        """
        recipe = self.recipe
        domain = recipe.domains.get(name)
        return prepare_corpus(
            name,
            self.source(name),
            folder=self.settings.recipe_folder,
            key=self.key(name),
            tokenizer=self.encoder(name),
            cache=self.settings.cache,
            heldout_fraction=recipe.heldout.fraction if domain else 1.0,
            heldout_files=domain.heldout_files if domain else (),
            chat=self.chat_of(name),
            document_masking=recipe.document_masking,
            unit=recipe.shares_by,
            hash_file=self._hash_file,
            on_progress=self.on_progress,
        )

    def data_key(self, domain: str) -> str:
        """Hash of all that the tokens of a domain come from; tokenises it."""
        return self.corpus(domain).key

    def corpus_key(self, name: str) -> str:
        """Hash of all that the tokens of a domain or text set come from; tokenises nothing."""
        domain = self.recipe.domains.get(name)
        return find_corpus_key(
            self.source(name),
            folder=self.settings.recipe_folder,
            key=self.key(name),
            tokenizer=self.encoder(name),
            heldout_fraction=self.recipe.heldout.fraction if domain else 1.0,
            heldout_files=domain.heldout_files if domain else (),
            chat=self.chat_of(name),
            unit=self.recipe.shares_by,
            hash_file=self._hash_file,
        )

    def key(self, name: str) -> str:
        """Key path of a domain or evaluation set in the recipe."""
        return self._sources.key(name)

    @cached_property
    def available_tokens(self) -> dict[str, int]:
        """Training tokens of each domain, in the recipe's order."""
        return {name: self.corpus(name).facts.n_train_tokens for name in self.recipe.domains}

    @cached_property
    def available_by_unit(self) -> dict[ShareUnit, dict[str, int]]:
        """What each domain has to train on, by every unit that shares may have."""
        facts = {name: self.corpus(name).facts for name in self.recipe.domains}
        return {
            "tokens": self.available_tokens,
            "supervised_tokens": {n: each.n_learned_train_tokens for n, each in facts.items()},
            "rows": {n: each.n_train_documents for n, each in facts.items()},
        }

    @property
    def available(self) -> dict[str, int]:
        """What each domain has to train on, by the unit of the recipe's shares."""
        return self.available_by_unit[self.recipe.shares_by]

    def token_mixture(self, mixture: Mixture) -> Mixture:
        """A mixture of the study by shares of tokens, as runs read it."""
        return convert_shares(mixture, self.available, self.available_tokens)

    def by_other_units(self, mixture: Mixture) -> dict[ShareUnit, Mixture]:
        """A mixture of the study by the other units; none where all shares are of learned tokens.

        A unit of which some domain has nothing is left out.
        """
        units = self.available_by_unit
        if self.recipe.shares_by == "tokens" and units["supervised_tokens"] == units["tokens"]:
            return {}
        return {
            unit: convert_shares(mixture, self.available, there)
            for unit, there in units.items()
            if unit != self.recipe.shares_by and all(there.values())
        }

    @cached_property
    def horizons(self) -> Horizons:
        """How far experts and the final model are trained.

        Raises:
            RecipeError: If the budget does not pay for the experts.
        """
        kept = self.settings.kept
        return plan_horizons(
            self.recipe,
            self._experts.shortest_tokens,
            kept_steps=kept.expert_steps if kept else 0,
            n_kept=len(kept.experts) if kept else 0,
        )

    @cached_property
    def space(self) -> MixtureSpace:
        """The mixtures that may be recommended."""
        return self.recipe.space(self.available_tokens, self.available)

    def overlap(self, name: str) -> npt.NDArray[np.uint64]:
        """Hashes of the held-out texts of one set that also stand in some domain's training rows.

        Raises:
            DataError: If there are any and the recipe refuses them; names one.
        """
        heldout = self.corpus(name)
        shared = [np.empty(0, dtype=np.uint64)]
        for domain in self.recipe.domains:
            found = find_overlap(heldout, self.corpus(domain))
            shared.append(found)
            if len(found) and self.recipe.heldout.overlap == "refuse":
                place = locate_hash(
                    self.source(domain),
                    self.settings.recipe_folder,
                    self.key(domain),
                    int(found[0]),
                    self.chat_of(domain),
                )
                raise DataError(
                    f"`{self.key(name)}`: {len(found)} held-out text(s) also stand in the training "
                    f"rows of `{domain}`, the first at {place}: remove them there, or set "
                    "`heldout.overlap: drop` to leave them out of the evaluation"
                )
        return np.unique(np.concatenate(shared))

    @cached_property
    def leaks(self) -> dict[str, SetLeaks]:
        """Rows of the extra evaluation sets that stand in training documents, by set.

        Records need a ``text`` and a ``place``, and sets of a kind without records ``passages``.

        Raises:
            DataError: If there are any and the recipe refuses them.
        """
        return find_leaks(self)

    def reads_records(self, name: str) -> bool:
        """Whether an extra evaluation set reads records, which may be left out one by one."""
        return KINDS.find(self.recipe.evaluation.sets[name].kind).reads is not None

    def _dropped(self, name: str) -> frozenset[int]:
        """Hashes of the rows of a set that are left out, as training data hold them."""
        if self.recipe.contamination.action != "drop" or name not in self.leaks:
            return frozenset()
        return self.leaks[name].hashes

    def build_set(self, name: str) -> EvaluationSet:
        """One evaluation set, ready to be measured on."""
        recipe, key = self.recipe, self.key(name)
        folder = self.settings.recipe_folder

        def records() -> Iterator[Any]:
            for each in self.portions(name):
                warn_of_left_out(each.source, folder, each.key)
            found, dropped = self.records(name), self._dropped(name)
            return (r for r in found if hash_text(r.text) not in dropped) if dropped else found

        def heldout() -> HeldoutRows:
            dropped = np.array(sorted(self._dropped(name)), dtype=np.uint64)
            rows = self.corpus(name).heldout_rows(
                recipe.sequence_length,
                recipe.evaluation.max_sequences,
                np.union1d(self.overlap(name), dropped),
            )
            return rows.beginning_with(self.tokenizer.start_of_text)

        def examples() -> LabelledRows:
            dropped = np.array(sorted(self._dropped(name)), dtype=np.uint64)
            limit = recipe.evaluation.max_sequences
            return self.corpus(name).heldout_examples(
                limit, np.union1d(self.overlap(name), dropped)
            )

        opening = Opening(
            name=name,
            key=key,
            open_tokenizer=lambda: self.tokenizer,
            sequence_length=recipe.sequence_length,
            context_tokens=self.context_tokens,
            max_examples=recipe.evaluation.max_sequences,
            batch_sequences=recipe.evaluation.batch_sequences,
            apart=length_boundaries(self.config),
            records=records,
            heldout=heldout,
            own=recipe.evaluation.sets[name].own if name not in recipe.domains else Section(),
            folder=folder,
            trust_remote_code=self.settings.trust_remote_code,
            chat_template=lambda: self.chat_template,
            held_examples=examples,
            head=self.head_of(name) if self._task.has_labels else None,
        )
        return open_set(recipe.set_kinds[name], opening)

    @cached_property
    def suite(self) -> EvaluationSuite:
        """All evaluation sets."""
        return EvaluationSuite(
            tuple(self.build_set(name) for name in self.recipe.set_kinds),
            self.recipe.evaluation.batch_sequences,
            length_boundaries(self.config),
        )

    def expert_checkpoint(self, domain: str) -> Checkpoint | None:
        """See `BroughtExperts.merged`."""
        return self._experts.merged(domain)

    def given_expert(self, domain: str) -> Checkpoint | None:
        """See `BroughtExperts.given`."""
        return self._experts.given(domain)

    def problems(self) -> list[str]:
        """Open everything that needs no model, and list what is wrong with it, a line each."""
        found = _collect(
            lambda _: (
                self.base,
                self.encoder(self.recipe.domain_names[0]),
                self._fitting_length,
                self.horizons,
            ),
            [""],
        )
        if found:
            return found
        found = _collect(self.corpus, self.recipe.tokenised_sets)
        found += _collect(lambda _: self._require_use_of_template(), [""] * (not found))
        facts = {name: corpus.facts for name, corpus in self._corpora.items()}
        tokens = self.horizons.expert_steps * self.recipe.batch_tokens
        found += unmet_token_needs(self.recipe, facts, expert_tokens=tokens)
        found += _collect(self.expert_checkpoint, self.recipe.domains)
        if not found:
            found = _collect(lambda _: self.space, [""])
            found += _collect(self.build_set, self.recipe.set_kinds)
            found += _collect(lambda _: self.leaks, [""])
        return list(dict.fromkeys(found))


def _collect(step: Callable[[str], object], names: Iterable[str]) -> list[str]:
    """Run a step for every name, and gather the lines of the errors of those that fail."""
    found: list[str] = []
    for name in names:
        try:
            step(name)
        except MixwiseError as error:
            found += error.problems
    return found
