"""Trainer's curves for tracking tools: each point once, whatever is killed, and to no harm.

Method:
    What Trainer logs is told at the step where it is logged, under the names that Trainer's own
    integrations use (``train/loss``). ``.training/tracked.json`` holds the last step that was told,
    written before it is: a run that goes on from a snapshot trains some steps again, and tells none
    of them twice.

Departures:
    Trainer's integrations are not used themselves (`docs/decisions.md`): they tell such steps
    twice, end the training when a tool fails, and write to whatever run a process has open.
"""

from __future__ import annotations

import json
import secrets
import warnings
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from mixwise.errors import MixwiseWarning, first_line
from mixwise.tracking.guarded import GuardedRun
from mixwise.tracking.run import TrackedRun

_FILE = "tracked.json"
_SUMMARY = "train_runtime"  # of Trainer's last report, which is of the whole run


class TrackingCallback(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Tells tools of one run.

    Args:
        run: The run.
        work: Its working folder, which lasts as long as the run.
    """

    def __init__(self, run: TrackedRun, work: Path) -> None:
        self._run = run
        self._file = work / _FILE
        self._told: GuardedRun | None = None
        self._last = -1

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin the run in every tool, or go on with it."""
        if not state.is_world_process_zero:
            return
        try:
            attempt, self._last = self._load()
            self._run = self._run.model_copy(update={"attempt": attempt})
            self._save()
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._give_up(error)
            return
        self._told = GuardedRun(self._run)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Tell what Trainer logs, unless it was told before."""
        if self._told is None or state.global_step <= self._last or _SUMMARY in logs:
            return
        self._last = state.global_step
        try:
            self._save()
        except OSError as error:
            self._give_up(error)
            return
        numbers = {name: value for name, value in logs.items() if isinstance(value, int | float)}
        self._told.log("train", numbers, state.global_step)

    def close(self, *, is_finished: bool) -> None:
        """Let go of the run, whether it is at its end or will go on later."""
        if self._told is not None:
            self._told.close(is_finished=is_finished)
            self._told = None

    def _give_up(self, error: Exception) -> None:
        self.close(is_finished=False)
        warnings.warn(
            f"{self._file}: cannot be read or written ({first_line(error)}), so the tools of "
            "`tracking.to` are told no more of this run; it goes on as it would",
            MixwiseWarning,
            stacklevel=3,
        )

    def _load(self) -> tuple[str, int]:
        """The attempt that goes on, and its last step that was told; a new attempt's if none."""
        if not self._file.is_file():
            return secrets.token_hex(3), -1
        known = json.loads(self._file.read_text())
        return str(known["attempt"]), int(known["step"])

    def _save(self) -> None:
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps({"attempt": self._run.attempt, "step": self._last}))
        partial.replace(self._file)
