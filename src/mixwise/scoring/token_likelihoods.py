"""What each model thinks of every scored token, read once and kept.

Method:
    One safetensors file a model, named by all that its numbers depend on, float32; its header has
    a hash of the numbers. A file that is not what was written is read anew, and that is said. Files
    are mapped: the numbers stay on the disk until they are worked on.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mixwise.errors import MixwiseWarning, ResourceError
from mixwise.files import replace_file
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint
from mixwise.progress import Progress
from mixwise.recipe import hash_section
from mixwise.scoring.evaluations import Evaluations
from mixwise.scoring.worker.evaluator import read_likelihoods
from mixwise.scoring.worker.job import ReadingJob
from mixwise.shortages import explain_failed_write

Likelihoods = Mapping[str, npt.NDArray[np.float32]]
_HASH = "content"


class TokenLikelihoods:
    """Reads models where it has to, and keeps what they thought.

    Args:
        folder: Where files are kept; made when the first is written.
        evaluations: Where models read the sets.
    """

    def __init__(self, folder: Path, evaluations: Evaluations) -> None:
        self._folder = folder
        self._evaluations = replace(evaluations, merges=None)

    def of(
        self,
        models: Mapping[str, Checkpoint],
        *,
        coefficient: float = 1.0,
        names: tuple[str, ...] | None = None,
    ) -> tuple[Likelihoods, ...]:
        """Log-likelihoods of the scored tokens by likelihood set, in nats, for each model.

        Args:
            models: Opened checkpoints, by the domain that each was trained on.
            coefficient: What their differences to the base are multiplied by.
            names: Of the sets that are read; None for all.

        Raises:
            EvaluationError: If one is not finite.
            ResourceError: If they cannot be written, as on a full disk.
        """
        domains, opened = tuple(models), tuple(models.values())
        files = [self._file(*model, coefficient, names) for model in models.items()]
        found = {k: self._load(file) for k, file in enumerate(files)}
        known = {k: likelihoods for k, likelihoods in found.items() if likelihoods is not None}
        missing = [k for k in range(len(models)) if k not in known]
        evaluations = self._evaluations
        jobs = [
            ReadingJob(
                evaluations.model,
                evaluations.suite,
                opened[k],
                coefficient,
                Mixture.single(domains, domains[k]),
                names,
            )
            for k in missing
        ]
        if jobs:
            for finished in evaluations.engine.run(read_likelihoods, jobs, lambda index, n: None):
                index = missing[finished.index]
                known[index] = self._kept(files[index], finished.result)
                evaluations.on_progress(
                    Progress("reading predictions", len(known), len(models), "experts")
                )
        return tuple(known[k] for k in range(len(models)))

    def _file(
        self,
        domain: str,
        model: Checkpoint,
        coefficient: float,
        names: tuple[str, ...] | None,
    ) -> Path:
        evaluations = self._evaluations
        is_measured = evaluations.model.measures_statistics and coefficient != 1
        key = hash_section(
            model.fingerprint,
            *(f"{k}={v}" for k, v in evaluations.model.provenance.items()),
            evaluations.suite.fingerprint,
            *([] if coefficient == 1 else [f"coefficient {coefficient:g}"]),
            *([] if names is None else [f"sets {' '.join(names)}"]),
            *([f"batch norm of {domain}"] if is_measured else []),
        )
        return self._folder / f"{key}.safetensors"

    def _load(self, file: Path) -> Likelihoods | None:
        if not file.is_file():
            return None
        loaded = load_likelihoods(file)
        if loaded is None:
            warnings.warn(
                f"{file}: is not what was written: the predictions are read anew",
                MixwiseWarning,
                stacklevel=2,
            )
        return loaded

    def _kept(self, file: Path, likelihoods: Likelihoods) -> Likelihoods:
        """The same, mapped from a file that is written now."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_failed_write(error, self._folder) from None
        replace_file(file, save(dict(likelihoods), {_HASH: _hash(likelihoods)}))
        loaded = load_likelihoods(file)
        if loaded is None:
            raise ResourceError(
                f"{file}: is not what was written a moment ago: check the disk, and run the same "
                "command again"
            )
        return loaded


def load_likelihoods(file: Path) -> Likelihoods | None:
    """What a file holds, mapped; None where it is not what was written."""
    try:
        with safe_open(file, framework="pt") as opened:  # as numpy it would be copied
            names = list(opened.keys())
            loaded = {name: opened.get_tensor(name).numpy() for name in names}
            expected = (opened.metadata() or {}).get(_HASH)
    except (SafetensorError, OSError, ValueError):
        return None
    return loaded if expected == _hash(loaded) else None


def _hash(likelihoods: Likelihoods) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(likelihoods):
        values = likelihoods[name]
        digest.update(json.dumps([name, list(values.shape), str(values.dtype)]).encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
