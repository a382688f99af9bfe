"""What a study holds at some moment, and what must be the same bytes in two of them."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from mixwise.ledger.copies import copy_to_memory

COMPARED = ("recommendation.json", "search.json", "calibration.json", "validation.json")


@dataclass(frozen=True)
class Held:
    """The runs and scores of a study, with the time that each took."""

    runs: dict[str, bytes]
    scores: dict[str, float]


@dataclass(frozen=True)
class Counted:
    """What one trial found.

    Args:
        n_runs: Of the command, until it ended well.
        lost: Of what was finished.
        repeated: Of it.
        different: Of what must be the same bytes.
        code: Exit code of the last run.
        wrong: How a run ended otherwise than it should; empty for nothing.
    """

    n_runs: int
    lost: int
    repeated: int
    different: int
    code: int
    wrong: str = ""

    @property
    def is_passed(self) -> bool:
        """Whether nothing was lost, repeated, different or wrong."""
        return not (self.lost or self.repeated or self.different or self.code or self.wrong)


def look(study: Path) -> Held:
    """What is finished now."""
    files = sorted(study.glob("experts/*/run.json")) + sorted(study.glob("references/*/run.json"))
    runs = {str(file.relative_to(study)): file.read_bytes() for file in files}
    rows = _select(study, "SELECT fingerprint, seconds FROM observation")
    return Held(runs, {str(name): float(seconds) for name, seconds in rows})


def results(study: Path) -> dict[str, object]:
    """All that must be the same bytes: result files, tensors, and the values of the ledger."""
    found: dict[str, object] = {
        name: (study / name).read_bytes() if (study / name).is_file() else b"" for name in COMPARED
    }
    found["ledger"] = _select(
        study,
        "SELECT fingerprint, metric, value, examples FROM observation JOIN measurement "
        "ON observation.id = measurement.observation ORDER BY fingerprint, metric",
    )
    found["tensors"] = {
        str(file.relative_to(study)): hashlib.sha256(file.read_bytes()).hexdigest()
        for folder in ("experts", "references")
        for file in sorted((study / folder).rglob("*.safetensors"))
        if ".work" not in file.parts
    }
    return found


def count(
    before: Held,
    sound: Held,
    after: Held,
    differences: int,
    n_runs: int,
    code: int,
    wrong: str,
) -> Counted:
    """What became of what was there before, beside an undisturbed study."""
    return Counted(
        n_runs,
        lost=_missing(before, after) + _missing(sound, after),
        repeated=_changed(before, after) + max(len(after.scores) - len(sound.scores), 0),
        different=differences,
        code=code,
        wrong=wrong,
    )


def merged(one: Held, other: Held) -> Held:
    """What stood at either moment, as it stood first."""
    return Held({**other.runs, **one.runs}, {**other.scores, **one.scores})


def _select(study: Path, query: str) -> list[tuple[object, ...]]:
    copy = copy_to_memory(study / "ledger.sqlite")
    try:
        return copy.execute(query).fetchall()
    except sqlite3.OperationalError:  # killed before its tables were made
        return []
    finally:
        copy.close()


def _missing(before: Held, after: Held) -> int:
    return len(before.runs.keys() - after.runs) + len(before.scores.keys() - after.scores)


def _changed(before: Held, after: Held) -> int:
    runs = sum(after.runs.get(name, content) != content for name, content in before.runs.items())
    scores = before.scores.items()
    return runs + sum(after.scores.get(name, seconds) != seconds for name, seconds in scores)
