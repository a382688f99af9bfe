"""One run of the user's `train`: from a fresh base to tensors in a folder, whole or not at all.

A run that is interrupted leaves nothing to go on from, as only the user's function knows how it
trains: it is run again from the base. What is kept is compared with what was trained: it must
measure the same.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mixwise import __version__
from mixwise.engine.protocol import OnStep
from mixwise.errors import (
    CheckpointError,
    EvaluationError,
    MixwiseError,
    TrainingError,
    first_line,
)
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import FULL_FILE
from mixwise.problem.buffers import why_not_averaged
from mixwise.problem.measuring import ModuleSuite, Values, as_array
from mixwise.problem.seeds import seeded
from mixwise.problem.states import (
    buffer_names,
    build_module,
    changed_tensors,
    require_mergeable,
    require_trained,
    save_state,
)
from mixwise.training.job import RunRecord, load_record, save_record
from mixwise.training.run_files import hash_run_files

_RELATIVE, _ABSOLUTE = 1e-3, 1e-5  # by which two measurements of one network may differ


@dataclass(frozen=True, slots=True)
class ModuleRun:
    """One run: a `mixwise.training.job.Run`.

    Args:
        suite: The problem, and what is measured of its networks.
        base_fingerprint: Hash of the base's tensors when the run was planned.
        output: Folder of the tensors; whole when it holds ``run.json``.
        mixture: What to train on.
        n_steps: Examples to train on.
        seed: Of all that is random.
        fingerprint: Hash of all that the tensors depend on.
    """

    suite: ModuleSuite
    base_fingerprint: str
    output: Path
    mixture: Mixture
    n_steps: int
    seed: int
    fingerprint: str

    @property
    def n_tokens(self) -> int:
        """Examples of the run."""
        return self.n_steps

    @property
    def token_hashes(self) -> dict[str, str]:
        """Nothing: what `train` reads is its own affair."""
        return {}


def train_module(run: ModuleRun, on_step: OnStep) -> RunRecord:
    """Train one run in this process; the function that engines run.

    Args:
        run: The run.
        on_step: Called at its end: what happens in between, `train` alone knows.

    Raises:
        TrainingError: If `train` fails or diverges, or what it trains is more than what is kept.
        CheckpointError: If it returns something that cannot be merged with the base.
    """
    known = load_record(run.output)
    if known is not None and known.fingerprint == run.fingerprint:
        return known
    started = time.perf_counter()
    trained = _train(run)
    save_state(trained, run.output)
    _require_kept(run, trained)
    record = RunRecord(
        fingerprint=run.fingerprint,
        shares=run.mixture.as_dict(),
        seed=run.seed,
        n_tokens=run.n_tokens,
        n_steps=run.n_steps,
        repetitions=_repetitions(run),
        losses={},
        seconds=time.perf_counter() - started,
        versions={"mixwise": __version__, "torch": torch.__version__},
        files=hash_run_files(run.output),
    )
    save_record(record, run.output)
    on_step(run.n_steps)
    return record


def _train(run: ModuleRun) -> nn.Module:
    problem, name = run.suite.problem, _name(run)
    module = build_module(problem)
    module.train()
    try:
        with torch.enable_grad(), seeded(run.seed):
            found = problem.train(module, run.mixture.as_dict(), run.n_steps, run.seed)
    except MixwiseError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise TrainingError(
            f"{name}: `train` of `{problem.name}` failed ({type(error).__name__}: "
            f"{first_line(error)}): mend it"
        ) from error
    trained = require_mergeable(
        module if found is None else found, f"{name}: what `train` returned"
    )
    base = build_module(problem)
    require_trained(base, trained, name)
    changed = changed_tensors(base, trained)
    _require_learned(name, changed)
    _require_averaged(run, base, trained, changed)
    return trained


def _require_learned(name: str, changed: set[str]) -> None:
    if not changed:
        raise TrainingError(
            f"{name}: `train` left every tensor as it is in the base: let it change the module "
            "that it is given, or return the one that it trained"
        )


def _require_averaged(
    run: ModuleRun, base: nn.Module, trained: nn.Module, changed: set[str]
) -> None:
    state = base.state_dict()
    moved = [
        name
        for name in buffer_names(trained)
        if name in changed and state[name].is_floating_point()
    ]
    if moved and run.suite.problem.recalibrate is None:
        raise CheckpointError(f"{_name(run)}: {why_not_averaged(moved[0])}")


def _require_kept(run: ModuleRun, trained: nn.Module) -> None:
    """Refuse a network that measures otherwise once its tensors are read back."""
    from safetensors.torch import load_file

    try:
        before = run.suite.measure(trained, may_move=True)
        again = build_module(run.suite.problem)
        again.load_state_dict(load_file(run.output / FULL_FILE))
        after = run.suite.measure(again)
    except EvaluationError as error:
        raise EvaluationError(f"{_name(run)}: {error}") from error.__cause__
    _require_same(run, before, after)


def _require_same(run: ModuleRun, before: Values, after: Values) -> None:
    for name, values in before.items():
        trained, kept = as_array(values), as_array(after[name])
        if not np.allclose(trained, kept, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True):
            raise TrainingError(
                f"{_name(run)}: `{name}` is {trained.mean():.6g} as trained, but {kept.mean():.6g} "
                "by the parameters and buffers alone: the module keeps something else that "
                "training changes, or `evaluate` gives other values each time"
            )


def _repetitions(run: ModuleRun) -> dict[str, float]:
    """How often each domain's examples are read, if `train` keeps to the shares."""
    domains = run.suite.problem.domains
    return {n: share * run.n_steps / domains[n] for n, share in run.mixture.as_dict().items()}


def _name(run: ModuleRun) -> str:
    return f"training on `{run.mixture}` (seed {run.seed})"
