"""Damage every kind of file of a study in every way, and see that no damage is ever used.

``python -m trials.corruption [WORD ...]`` makes one small study, and for each case a copy of it
and of its token cache that is damaged and used again. A case passes if ``mixwise verify`` finds the
damage and the command then either repairs it (exit 0, the same bytes as without damage, and the
file is named on stderr) or refuses it (exit 1, one line that names the file). WORDs choose the
cases whose name holds all of them; ``--few`` chooses a dozen of all kinds. Jobs run in the
command's own process, not in workers, whose starts would take most of the time.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mixwise.engine.engines import NamedEngine, register_engine
from mixwise.engine.serial import HereEngine
from trials.tiny_study import Outcome, call, write_source_in_new_process

Damage = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """One damage.

    Args:
        name: What is damaged, and how.
        file: Its path or glob, in the study (``study/``) or in the token cache (``cache/``).
        damage: Does it.
        command: What is run then; ``run`` gets the recipe.
        is_silent: Whether a repair needs no word: nothing reads the file, or it is only missing.
        is_verified: Whether ``mixwise verify`` must find it.
    """

    name: str
    file: str
    damage: Damage
    command: tuple[str, ...] = ("run",)
    is_silent: bool = False
    is_verified: bool = True


def main(words: Sequence[str]) -> int:
    """Try the cases that are asked for; the number of those that fail."""
    if list(words) == ["--few"]:
        cases = [case for case in every_case() if case.name in FEW]
    else:
        cases = [case for case in every_case() if all(word in case.name for word in words)]
    register_engine(NamedEngine("here", lambda n_workers, n_threads, n_devices: HereEngine()))
    with tempfile.TemporaryDirectory() as scratch:
        bed = Bed(Path(scratch))
        results = [bed.judge(case) for case in cases]
    for verdict in sorted(set(results)):
        print(f"{results.count(verdict):4d} {verdict}")
    n_failed = sum(verdict.startswith("FAILED") for verdict in results)
    print(f"{len(cases)} corruptions: {len(cases) - n_failed} passed, {n_failed} failed")
    return n_failed


class Bed:
    """A whole study to damage copies of.

    Args:
        folder: Where all is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._source = folder / "source"
        write_source_in_new_process(self._source)
        recipe = self._source / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace("engine: {", "engine: {cluster: here, "))
        whole = folder / "whole"
        for command in (("run",), ("diagnose",), ("search",), ("export",), ("verify",)):
            outcome = self._call(whole, command)
            if outcome.code:
                raise SystemExit(f"no study to damage: {command}: {outcome.err or outcome.out}")
        self._call(whole, ("run",))  # with the diagnosis
        self._expected: dict[tuple[str, ...], str] = {}

    def judge(self, case: Case) -> str:
        """Damage a copy, use it, and print what came of it."""
        copy = self._folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self._folder / "whole", copy)
        [*_, file] = sorted(copy.glob(case.file))
        case.damage(file)
        name = file.name
        verdict = self._verified(copy, case, name) or self._used(copy, case, name)
        print(f"{verdict:24} {case.name} -> {' '.join(case.command)}", flush=True)
        return verdict.partition(":")[0]

    def _verified(self, copy: Path, case: Case, name: str) -> str | None:
        outcome = self._call(copy, ("verify",))
        said = [line for line in (outcome.out + outcome.err).splitlines() if _names(line, name)]
        if outcome.is_unexpected:
            return f"FAILED verify: {outcome.err.strip()[-300:]}"
        if case.is_verified and not (outcome.code == 1 and said):
            return f"FAILED verify: exit {outcome.code}, damage not named"
        return None

    def _used(self, copy: Path, case: Case, name: str) -> str:
        expected = self._expect(case.command)
        outcome = self._call(copy, case.command)
        errors = [line for line in outcome.err.splitlines() if line.startswith("mixwise: error")]
        if outcome.is_unexpected:
            return f"FAILED unexpected: {outcome.err.strip()[-300:]}"
        if outcome.code == 1:
            if len(errors) == 1 and _names(errors[0], name):
                return "refused by name"
            return f"FAILED nameless: {errors}"
        if outcome.code:
            return f"FAILED exit {outcome.code}: {outcome.err.strip()[-300:]}"
        if self._result(copy, case.command, outcome) != expected:
            return "FAILED used: the result is another one"
        if _names(outcome.err, name):
            return "repaired and said"
        return "repaired" if case.is_silent else "FAILED silent: repaired without a word"

    def _expect(self, command: tuple[str, ...]) -> str:
        """What the command gives on a copy that is not damaged."""
        if command not in self._expected:
            copy = self._folder / "sound"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(self._folder / "whole", copy)
            outcome = self._call(copy, command)
            if outcome.code or "Warning" in outcome.err:
                raise SystemExit(f"{command} on a sound study: {outcome.err}")
            self._expected[command] = self._result(copy, command, outcome)
        return self._expected[command]

    def _result(self, copy: Path, command: tuple[str, ...], outcome: Outcome) -> str:
        """Everything that a command is asked for, without what depends on the time."""
        results = [(copy / "study" / "recommendation.json").read_text()]
        if command[0] == "export":
            results.append((copy / "study" / "mixture.json").read_text())
        if command[0] == "score":
            results.append(outcome.out)
        return "\n".join(results)

    def _call(self, place: Path, command: tuple[str, ...]) -> Outcome:
        return call(self._source, place, command)


def _names(text: str, name: str) -> bool:
    """Whether a text names a file: by its whole name, or by the row or folder it belongs to."""
    return name in text


def _write(content: bytes) -> Damage:
    return lambda path: path.write_bytes(content) and None


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(at: float, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 4
    path.write_bytes(content)


def _flip_in_secret(path: Path) -> None:
    """Flip a bit and put the time of the file back."""
    times = path.stat()
    _flip(0.8, path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _zero(path: Path) -> None:
    content = path.read_bytes()
    kept = len(content) // 2
    path.write_bytes(content[:kept] + bytes(len(content) - kept))


def _swap(path: Path) -> None:
    """Put the file of the same name of a sibling folder in its place."""
    other = next(p for p in sorted(path.parent.parent.glob(f"*/{path.name}")) if p != path)
    shutil.copyfile(other, path)


def _swap_file(path: Path) -> None:
    other = next(p for p in sorted(path.parent.glob(f"*{path.suffix}")) if p != path)
    shutil.copyfile(other, path)


def _edit_number(path: Path) -> None:
    text = path.read_text()
    path.write_text(re.sub(r"(\d)(,?\n)", lambda m: f"{9 - int(m[1])}{m[2]}", text, count=1))


def _write_nan(path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    save_file(tensors, path)


def _sql(statement: str) -> Damage:
    def edit(path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute(statement)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    return edit


BYTES: dict[str, Damage] = {
    "emptied": _write(b""),
    "truncated": _truncate,
    "deleted": Path.unlink,
    "bit flipped": partial(_flip, 0.7),
    "bit flipped, time kept": _flip_in_secret,
    "first bytes flipped": partial(_flip, 0.0),
    "junk": _write(b"junk \xff\x00" * 20),
}
TEXTS: dict[str, Damage] = {
    "list": _write(b"[]"),
    "object": _write(b"{}"),
    "bad UTF-8": _write(b'{"a": "\xff"}'),
    "number edited": _edit_number,
}
RESULTS = ("search", "calibration", "validation", "final", "recommendation")
FEW = (
    "expert swapped",
    "experts/beta/run.json object",
    "reference bit flipped",
    "store zeroed",
    "validation.json list",
    "study.json object",
    "ledger value edited",
    "cache train.u32 bit flipped",
)
SQL = {
    "examples lowered": "UPDATE measurement SET examples = zeroblob(length(examples))",
    "value edited": "UPDATE measurement SET value = value - 1 WHERE observation = 3",
    "examples NaN": "UPDATE measurement SET examples = x'000000000000f87f' WHERE observation = 4",
    "odd blob": "UPDATE measurement SET examples = x'00ff' WHERE observation = 4",
    "mixture junk": "UPDATE observation SET mixture = '{' WHERE answer = 'reference'",
    "fingerprint edited": "UPDATE observation SET fingerprint = 'x' WHERE id = 5",
    "row without measurements": "DELETE FROM measurement WHERE observation = 5",
    "text no UTF-8": "UPDATE observation SET rule = CAST(x'ff' AS TEXT) WHERE id = 2",
    "column renamed": "ALTER TABLE measurement RENAME COLUMN examples TO exemples",
    "table dropped": "DROP TABLE measurement",
    "version 99": "PRAGMA user_version=99",
    "version 2": "PRAGMA user_version=2",
}


def every_case() -> list[Case]:
    """All cases, those of one file together."""
    score = ("score", "--mixture", "alpha=0.5,beta=0.3,gamma=0.2", "--json")
    run, experts = "study/experts/beta", ("model.safetensors", "second_moments.safetensors")
    cases = [
        Case(f"{file} {how}", f"{run}/{file}", damage)
        for file in experts
        for how, damage in BYTES.items()
    ]
    cases += [
        Case("expert swapped", f"{run}/model.safetensors", _swap),
        Case("expert swapped", f"{run}/model.safetensors", _swap, score),
        Case("expert NaN", f"{run}/model.safetensors", _write_nan),
        Case("expert zeroed", f"{run}/model.safetensors", _zero, score),
        Case("expert configuration", f"{run}/config.json", _edit_number),
        Case("expert tokenizer", f"{run}/tokenizer.json", _truncate),
        Case("trajectory bit", f"{run}/trajectory/*/model.safetensors", partial(_flip, 0.7)),
        Case("trajectory swapped", "study/experts/*/trajectory/*/config.json", _write(b"{}")),
        Case("foreign adapter", run, _add_adapter),
    ]
    records = ("experts/beta/run.json", "references/*/run.json")
    for record in records:
        cases += [
            Case(f"{record} {how}", f"study/{record}", damage)
            for how, damage in {**BYTES, **TEXTS}.items()
        ]
    cases += [
        Case(f"reference {how}", "study/references/*/model.safetensors", damage)
        for how, damage in {**BYTES, "swapped": _swap, "NaN": _write_nan}.items()
    ]
    vector = "study/task_vectors/beta.safetensors"
    damages = {**BYTES, "zeroed": _zero, "NaN": _fill, "header": _spoil_header}
    for command in (("run",), score):
        cases += [
            Case(f"store {how}", vector, damage, command, _is_gone(how), not _is_gone(how))
            for how, damage in damages.items()
        ]
    read = "study/predictions/*.safetensors"
    cases += [
        Case(f"predictions {how}", read, damage, ("run",), _is_gone(how), not _is_gone(how))
        for how, damage in BYTES.items()
    ]
    cases.append(Case("store swapped", vector, _swap_file, score, True, False))
    for name in RESULTS:
        cases += [
            Case(
                f"{name}.json {how}",
                f"study/{name}.json",
                damage,
                ("run",),
                _is_gone(how),
                not _is_gone(how),
            )
            for how, damage in {**BYTES, **TEXTS}.items()
        ]
    for command in (("search",), ("report",), ("export",)):
        cases += [
            Case(
                f"{name}.json {how}",
                f"study/{name}.json",
                TEXTS[how],
                command,
                command != ("search",),
            )
            for name in RESULTS
            for how in ("list", "number edited")
        ]
    cases += [
        Case(f"diagnose.json {how}", "study/diagnose.json", damage) for how, damage in TEXTS.items()
    ]
    cases += [
        Case(f"study.json {how}", "study/study.json", damage, ("search",))
        for how, damage in {
            **TEXTS,
            "emptied": _write(b""),
            "bit flipped": partial(_flip, 0.6),
        }.items()
    ]
    cases += [
        Case(f"recipe.yaml {how}", "study/recipe.yaml", damage, ("search",))
        for how, damage in {
            "emptied": _write(b""),
            "bad UTF-8": _write(b"\xff"),
            "comment": _append,
        }.items()
    ]
    damages = BYTES | {how: _sql(statement) for how, statement in SQL.items()}
    cases += [
        Case(f"ledger {how}", "study/ledger.sqlite", damage) for how, damage in damages.items()
    ]
    cases += [  # SQLite leaves a part of most pages unused
        Case(f"ledger page at {at}", "study/ledger.sqlite", damage, ("run",), True, False)
        for at in (0.1, 0.3, 0.5, 0.7, 0.9)
        for damage in (partial(_flip_bytes, at),)
    ]
    cases.append(
        Case("ledger -wal of junk", "study/ledger.sqlite", _add_wal, ("run",), True, False)
    )
    for file in ("facts.json", "train.u32", "heldout.u32", "heldout_bytes.u32", "train_hashes.npy"):
        cases += [
            Case(f"cache {file} {how}", f"cache/tokens/*/{file}", damage)
            for how, damage in BYTES.items()
        ]
    cases += [
        Case(f"cache facts.json {how}", "cache/tokens/*/facts.json", TEXTS[how]) for how in TEXTS
    ]
    cases += [
        Case("heldout tokens zeroed", "study/heldout/beta.npy", _zero, ("run",), True),
        Case("report of junk", "study/report.html", _write(b"junk"), ("run",), True, False),
        Case("memo of junk", "study/.hashes.json", _write(b"junk"), ("run",), True, False),
        Case("memo edited", "study/.hashes.json", partial(_flip, 0.5), ("run",), True, False),
        Case("lock of junk", "study/.lock", _write(b"junk"), ("run",), True, False),
    ]
    return cases


def _is_gone(how: str) -> bool:
    return how == "deleted"


def _fill(path: Path) -> None:
    """NaN in the last half of a file of numbers."""
    content = path.read_bytes()
    kept = len(content) // 8 * 4
    path.write_bytes(content[:kept] + b"\x00\x00\xc0\x7f" * ((len(content) - kept) // 4))


def _spoil_header(path: Path) -> None:
    path.write_bytes(
        path.read_bytes().replace(b'"relative_error": "', b'"relative_error": "1', 1)[:-1]
    )


def _flip_bytes(at: float, path: Path) -> None:
    """Flip five bits one after the other, past the last page that is in use or not."""
    content = bytearray(path.read_bytes())
    for k in range(5):
        content[int(at * len(content)) + 97 * k] ^= 16
    path.write_bytes(content)


def _append(path: Path) -> None:
    path.write_text(path.read_text() + "# a note\n")


def _add_adapter(folder: Path) -> None:
    shutil.copyfile(folder / "model.safetensors", folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")


def _add_wal(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(b"junk" * 500)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
