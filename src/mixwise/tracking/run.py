"""What a tracking tool is told of a run before it begins, as a value that crosses processes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

RunKind = Literal["study", "expert", "correction", "reference", "final"]
_UNSAFE = re.compile(r"[^0-9A-Za-z.=_-]+")
_MOST_CHARACTERS = 80  # of a folder's name
_ID_SHOWN = 8


class TrackedRun(BaseModel):
    """A run of a study, or the study itself, which is the parent of its runs.

    Attributes:
        to: Names of the tools that are told.
        project: W&B's and Trackio's project, MLflow's experiment.
        study: The study's name.
        study_id: Tells studies of one name apart; the id of the parent.
        kind: What the run is for.
        key: Tells the runs of a study apart; empty for the study itself.
        domain: Of an expert; else empty.
        mixture: Shares by domain; empty for the study itself.
        seed: Of the run; None for the study itself.
        facts: What else is known before the run begins.
        folder: Where tools that write files put them.
        mlflow_uri: Of MLflow's store.
        attempt: Tells a run that is made anew from the one that it replaces.
    """

    model_config = ConfigDict(frozen=True)

    to: tuple[str, ...]
    project: str
    study: str
    study_id: str
    kind: RunKind
    key: str = ""
    domain: str = ""
    mixture: dict[str, float] = {}
    seed: int | None = None
    facts: dict[str, str] = {}
    folder: Path
    mlflow_uri: str
    attempt: str = ""

    @property
    def id(self) -> str:
        """What the run is found again by."""
        return "-".join(part for part in (self.study_id, self.key, self.attempt) if part)

    @property
    def is_study(self) -> bool:
        """Whether it is the study itself."""
        return self.kind == "study"

    @property
    def name(self) -> str:
        """What people read."""
        if self.is_study:
            return self.study
        what = self.domain or " ".join(f"{n}={s:.3g}" for n, s in self.mixture.items() if s)
        return f"{self.kind} {what} seed {self.seed}"

    @property
    def folder_name(self) -> str:
        """Its name as that of a folder, with as much of its id as tells it apart."""
        text = "study" if self.is_study else self.name
        safe = _UNSAFE.sub("-", text)[:_MOST_CHARACTERS].strip("-")
        shown = "-".join(p[:_ID_SHOWN] for p in (self.key, self.attempt) if p)
        return f"{safe}-{shown}" if shown else safe

    @property
    def tags(self) -> dict[str, str]:
        """What a user filters by."""
        found = {
            "mixwise.run": self.id,
            "mixwise.study": self.study,
            "mixwise.study_id": self.study_id,
            "mixwise.kind": self.kind,
        }
        if self.domain:
            found["mixwise.domain"] = self.domain
        if self.mixture:
            shares = (f"{name}={share:.4g}" for name, share in self.mixture.items() if share)
            found["mixwise.mixture"] = " ".join(shares)
        return found

    @property
    def settings(self) -> dict[str, str | float | int]:
        """Shares, seed and other facts, as parameters of the run."""
        shares = {f"share/{name}": share for name, share in self.mixture.items()}
        seed = {} if self.seed is None else {"seed": self.seed}
        return {**shares, **seed, **self.facts}
