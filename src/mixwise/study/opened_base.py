"""The base that a recipe names, opened: its folder, checkpoint, configuration and tokenizer."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from mixwise.data.matching import expand_user
from mixwise.data.tokenizer import BaseTokenizer
from mixwise.errors import CheckpointError, first_line
from mixwise.evaluation.context import context_tokens
from mixwise.files import HashFile
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.models.copies import Copies
from mixwise.recipe import Recipe

_HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
_NO_LIMIT = 2**31


class OpenedBase:
    """The base of a recipe; each part is opened when it is first asked for.

    Args:
        recipe: The recipe.
        recipe_folder: Where its relative paths start from.
        cache: Where copies in another layout are kept.
        trust_remote_code: Whether code from the base's folder may run.
        hash_file: Hashes files.

    Attributes:
        copies: Where checkpoints are kept that had to be written in another form.
    """

    def __init__(
        self,
        recipe: Recipe,
        recipe_folder: Path,
        cache: Path,
        *,
        trust_remote_code: bool,
        hash_file: HashFile,
    ) -> None:
        self._recipe = recipe
        self._task = recipe.task_facts
        self._recipe_folder = recipe_folder
        self._trusts = trust_remote_code
        self._hash_file = hash_file
        self.copies = Copies(
            cache / "checkpoints", self._task.auto_class, trust_remote_code, hash_file
        )

    @cached_property
    def folder(self) -> Path:
        """Folder of the base model; a model of the hub is downloaded first.

        Raises:
            CheckpointError: If there is no such folder and no such model.
        """
        return find_model_folder(
            self._recipe.base, self._recipe_folder, "base", code=self._trusts
        ).resolve()

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The opened checkpoint, as the module keeps it: its folder may be that of a copy.

        Raises:
            CheckpointError: If it is an adapter.
        """
        checkpoint = open_checkpoint(self.folder, hash_file=self._hash_file)
        if checkpoint.is_adapter:
            raise CheckpointError(f"`base`: {self.folder} is an adapter: give a full model")
        return self.in_module_layout(checkpoint)

    def in_module_layout(self, checkpoint: Checkpoint) -> Checkpoint:
        """A full checkpoint of this base's class, as the module keeps it."""
        from mixwise.models.module_layout import in_module_layout

        try:
            return in_module_layout(checkpoint, self._structure, self.copies)
        except CheckpointError:  # whoever loads or matches it says more
            return checkpoint

    def as_full_model(self, adapter: Checkpoint) -> Checkpoint:
        """The full model that an adapter makes of this base."""
        from mixwise.merging.dense_adapters import as_full_model

        return as_full_model(adapter, self.checkpoint, self.copies)

    @cached_property
    def _structure(self) -> Any:
        """The base's module, without numbers."""
        import torch

        from mixwise.models.loading import build_module

        return build_module(
            self.folder,
            dtype=torch.float32,
            trust_remote_code=self._trusts,
            auto_class=self._task.auto_class,
        )

    @cached_property
    def label_tensors(self) -> tuple[str, ...]:
        """Names of the tensors of a classifier that have a row for each label; see `heads`."""
        from mixwise.models.heads import find_label_tensors

        return find_label_tensors(
            self.folder, trust_remote_code=self._trusts, auto_class=self._task.auto_class
        )

    @cached_property
    def config(self) -> Any:
        """Its configuration (its text part, where it has several)."""
        from transformers import AutoConfig

        try:
            config = AutoConfig.from_pretrained(self.folder, trust_remote_code=self._trusts)
        except Exception as error:  # whatever the architecture's own code raises
            reason = first_line(error)
            raise CheckpointError(
                f"{self.folder}: config.json cannot be used ({reason}): "
                "give a folder that transformers can open"
            ) from None
        return config.get_text_config()

    @cached_property
    def tokenizer(self) -> BaseTokenizer:
        """Its tokenizer.

        Raises:
            CheckpointError: If it can give ids that the embedding has no row for.
        """
        tokenizer = BaseTokenizer(
            self.folder,
            trust_remote_code=self._trusts,
            bos="never" if self._task.has_labels else self._recipe.bos,
            architecture=self.config.model_type,
            joins_documents=not self._task.has_labels,
        )
        if tokenizer.vocabulary_size > self.config.vocab_size:
            raise CheckpointError(
                f"{self.folder}: the tokenizer has {tokenizer.vocabulary_size} tokens, but "
                f"the embedding only {self.config.vocab_size} rows: use the tokenizer that "
                "belongs to the model"
            )
        return tokenizer

    @cached_property
    def context_tokens(self) -> int:
        """Longest input of the model; 2³¹ where its configuration names none."""
        if self._task.has_images:
            return _NO_LIMIT
        found = context_tokens(
            self.config, trust_remote_code=self._trusts, auto_class=self._task.auto_class
        )
        return found or _NO_LIMIT


def find_model_folder(name: str, recipe_folder: Path, key: str, *, code: bool) -> Path:
    """Folder of a model that a recipe names; one of the hub is downloaded first.

    Args:
        name: A folder, or ``owner/model`` of the hub, with ``@revision`` if wanted.
        recipe_folder: Where relative paths start from.
        key: Key of the recipe, for error texts.
        code: Whether Python files are downloaded too.

    Raises:
        CheckpointError: If there is no such folder and no such model.
    """
    local = recipe_folder / expand_user(name)
    if local.is_dir():
        return local
    model, _, revision = name.partition("@")
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise CheckpointError(f"`{key}`: {local} is no folder: correct the path")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        wanted = [*_HUB_FILES, *(["*.py"] if code else [])]
        return Path(snapshot_download(model, revision=revision or None, allow_patterns=wanted))
    except (OSError, ValueError, HFValidationError, HfHubHTTPError) as error:
        raise CheckpointError(
            f"`{key}`: `{model}` is neither a folder beside the recipe nor a "
            f"model of the hub that can be reached ({first_line(error)}): correct the "
            "name or the path"
        ) from None
