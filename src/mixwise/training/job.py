"""What one training run needs to know, as a value that can cross processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from mixwise.data.blend import Blend, blend
from mixwise.data.examples import ExampleStream
from mixwise.data.pixels import ImageStream
from mixwise.data.streams import TokenStream
from mixwise.errors import DamagedError, first_line
from mixwise.files import CONTENT_HASH, parse_sealed, read_bytes, seal
from mixwise.mixture import Mixture
from mixwise.recipe import Training
from mixwise.recipe.sections import ExpertMethod
from mixwise.tasks import CAUSAL_LM
from mixwise.tracking.run import TrackedRun

RUN_FILE = "run.json"
ERROR_PREFIX = "mixwise: "  # of the one line that a spread run writes when it fails
OnStep = Callable[[int], None]


class Run(Protocol):
    """One run from the base to a checkpoint in a folder, whoever trains it."""

    @property
    def output(self) -> Path:
        """Folder of the checkpoint; it is whole when it holds ``run.json``."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of all that the checkpoint depends on."""
        ...

    @property
    def mixture(self) -> Mixture:
        """The mixture to train on, by the unit of the study's shares."""
        ...

    @property
    def seed(self) -> int:
        """Decides all that is random."""
        ...

    @property
    def n_steps(self) -> int:
        """Steps that its progress counts."""
        ...

    @property
    def n_tokens(self) -> int:
        """Tokens of the run."""
        ...

    @property
    def token_hashes(self) -> dict[str, str]:
        """Hash of the content of each domain's data, where it is known."""
        ...


class TrainingJob(BaseModel):
    """One run: train the base on a mixture and leave a checkpoint in a folder.

    Attributes:
        base: Folder of the base model.
        base_name: What adapters call the base: its folder in the study, wherever the run opens it;
            empty for `base`.
        base_fingerprint: Hash of the content of its tensors when the run was planned.
        output: Folder of the checkpoint; it is whole when it holds ``run.json``.
        streams: Training tokens of each domain, in the study's order.
        shares: The mixture, one share per domain.
        token_shares: The same by tokens, as the run reads it; None where `shares` are that.
        n_sequences: Sequences of the run.
        sequence_length: Tokens per sequence.
        seed: Decides data order, dropout and the adapters' first values.
        settings: Optimiser, schedule, precision, device.
        fingerprint: Hash of all that the checkpoint depends on.
        trajectory: Steps after which a checkpoint is kept, beside the last.
        most_rows: Sequences of a domain that may be read; all where it is not named.
        trust_remote_code: Whether code from the base's folder may run.
        start_of_text: Token that begins every sequence; None where none does.
        auto_class: Class of transformers that opens the base.
        labels: Names of the model's outputs, of a task with labels.
        head_sizes: Outputs of each head, in their order, where domains have heads of their own.
        chat_template: Template of the recipe's, which the checkpoint gets; None for the base's own.
        gradients: Folder of all domains' gradients at the base, along one of which the base is
            moved (`mixwise.training.gradients`); None for a run that trains.
        tracking: What tracking tools are told of the run; None where none is told. It changes
            nothing of the run.
    """

    model_config = ConfigDict(frozen=True)

    base: Path
    base_name: str = ""
    base_fingerprint: str
    output: Path
    streams: dict[str, ImageStream | ExampleStream | TokenStream]
    shares: tuple[float, ...]
    token_shares: tuple[float, ...] | None = None
    n_sequences: int
    sequence_length: int
    seed: int
    settings: Training
    fingerprint: str
    trajectory: tuple[int, ...] = ()
    most_rows: dict[str, int] = {}
    trust_remote_code: bool = False
    start_of_text: int | None = None
    chat_template: str | None = None
    auto_class: str = CAUSAL_LM.auto_class
    labels: tuple[str, ...] = ()
    head_sizes: tuple[int, ...] = ()
    gradients: Path | None = None
    tracking: TrackedRun | None = None

    @property
    def mixture(self) -> Mixture:
        """The mixture to train on, by the unit of the study's shares."""
        return Mixture(tuple(self.streams), self.shares)

    @property
    def token_mixture(self) -> Mixture:
        """The mixture to train on, by tokens."""
        return Mixture(tuple(self.streams), self.token_shares or self.shares)

    @property
    def n_steps(self) -> int:
        """Optimiser steps of the run."""
        return -(-self.n_sequences // self.settings.batch_sequences)

    @property
    def n_tokens(self) -> int:
        """Tokens of the run."""
        return self.n_sequences * self.sequence_length

    def blend(self) -> Blend:
        """The run's exact stream of sequences."""
        length = self.sequence_length
        available = {name: stream.n_rows(length) for name, stream in self.streams.items()}
        return blend(
            self.token_mixture, self.n_sequences, available, seed=self.seed, most=self.most_rows
        )

    def require_tokens(self) -> None:
        """Refuse token files whose content is not the one that the run was planned with.

        Raises:
            DataError: Names the first such file.
        """
        for name, stream in self.streams.items():
            stream.require_unchanged(name)

    @property
    def token_hashes(self) -> dict[str, str]:
        """Hash of the content of each domain's stream, where it is known."""
        return {name: s.content_hash for name, s in self.streams.items() if s.content_hash}


class RunRecord(BaseModel):
    """What is known of a finished run; its file marks the folder as whole.

    Attributes:
        fingerprint: The job's.
        shares: The mixture by domain, by tokens.
        seed: The job's.
        n_tokens: Tokens trained on.
        n_steps: Optimiser steps.
        learning_rate: Highest rate of the schedule; None in records of older versions.
        repetitions: Epochs that were read of each domain.
        losses: Training loss (nats/token) by step, at some fifty steps of the run.
        seconds: Wall time, of the last part if the run was resumed.
        versions: Versions of mixwise, torch and transformers.
        files: Hash of the content of each file that the run wrote, by its path in the folder;
            empty in the record of an older mixwise.
        token_hashes: Hash of the tokens of each domain that was read.
        method: Whether the base was trained, or moved once along the mean gradient of the run's
            batches, which stayed at the base.
        taken_from: Folder of the run of another study that this is; empty for one's own.
    """

    model_config = ConfigDict(frozen=True)

    fingerprint: str
    shares: dict[str, float]
    seed: int
    n_tokens: int
    n_steps: int
    learning_rate: float | None = None
    repetitions: dict[str, float]
    losses: dict[int, float]
    seconds: float
    versions: dict[str, str]
    files: dict[str, str] = {}
    token_hashes: dict[str, str] = {}
    method: ExpertMethod = "training"
    taken_from: str = ""


def load_record(folder: Path) -> RunRecord | None:
    """The record of the finished run in a folder, or None when there is none.

    Raises:
        DamagedError: If it is not what was written.
    """
    path = folder / RUN_FILE
    try:
        text = read_bytes(path)
    except FileNotFoundError:
        return None
    remedy = f"restore it, or delete the folder {folder} to train the run again"
    old = _parse_old(text)
    if old is not None:
        return old
    try:
        return RunRecord.model_validate(parse_sealed(text, str(path), remedy))
    except ValidationError as error:
        raise DamagedError(f"{path}: is damaged ({first_line(error)}): {remedy}") from None


def _parse_old(text: bytes) -> RunRecord | None:
    """The record of a mixwise that knew no hashes, or None."""
    try:
        content = json.loads(text)
        if CONTENT_HASH in content or "files" in content:
            return None
        return RunRecord.model_validate(content)
    except (ValueError, TypeError, RecursionError):
        return None


def save_record(record: RunRecord, folder: Path) -> None:
    """Write the record beside a whole checkpoint, at once or not at all."""
    partial = folder / f".{RUN_FILE}"
    partial.write_text(seal(record.model_dump()), encoding="utf-8")
    partial.replace(folder / RUN_FILE)
