"""Faults on a real Ray cluster: nothing is lost, nothing is done twice, the same bytes.

``python -m trials.cluster [--each N] [WORD ...]`` starts a head and a second node, each a raylet of
its own on this host with one core, runs the main job of a small study on them, and at a random
moment breaks something. The same command is run again until it ends well. Then all that had been
finished at that moment must still be there, as it was, and recommendation, results and every value
of the ledger must be those of a study that was never disturbed, on this machine without Ray.

WORDs choose the faults whose name holds all of them; each is tried N times.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixwise.ledger.copies import copy_to_memory
from trials.tiny_study import RECIPE, write_source

LOCAL = "engine: {workers: 2, threads: 1}\n"
ON_RAY = "engine: {cluster: ray, workers: 2, threads: 1}\n"
LONGER = "horizon_tokens: 6400"  # 100 steps: long enough to be hit
COMPARED = ("recommendation.json", "search.json", "calibration.json", "validation.json")
MOST_RUNS = 4
MOST_SECONDS = 900.0  # of one command, on a busy machine
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Finished:
    """What a study holds at some moment: its runs and scores, with the time that each took."""

    runs: dict[str, bytes]
    scores: dict[str, float]


@dataclass(frozen=True)
class Counted:
    """What one trial found."""

    n_runs: int
    lost: int
    repeated: int
    different: int
    code: int

    @property
    def is_passed(self) -> bool:
        """Whether nothing was lost, repeated or different."""
        return not (self.lost or self.repeated or self.different or self.code)


class Nodes:
    """A cluster of two raylets on this host."""

    def __init__(self, n_nodes: int = 2) -> None:
        from ray.cluster_utils import Cluster

        self._head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 10**8}
        self.cluster: Any = Cluster(initialize_head=True, head_node_args=self._head)
        self.others: list[Any] = []
        for _ in range(n_nodes - 1):
            self.add()

    @property
    def address(self) -> str:
        """Of the head."""
        return str(self.cluster.address)

    def add(self) -> None:
        """Let a node join."""
        self.others.append(self.cluster.add_node(num_cpus=1, object_store_memory=10**8))

    def kill_raylet(self) -> None:
        """Kill the second node's raylet, and its processes end."""
        self.others.pop().kill_raylet()

    def close(self) -> None:
        """End all."""
        self.cluster.shutdown()


@dataclass(frozen=True)
class Fault:
    """Something that breaks.

    Args:
        name: What.
        strike: Breaks it; gets the bed and the driver.
        n_nodes: When the job begins.
    """

    name: str
    strike: Callable[[Bed, subprocess.Popen[str]], None]
    n_nodes: int = 2


class Bed:
    """A source, a study that was never disturbed, and a cluster.

    Args:
        folder: Where all is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_source(folder / "source")
        os.environ["MIXWISE_CACHE"] = str(folder / "cache")
        self._run_to_end("sound", LOCAL)
        self.sound = _read(folder / "sound")
        self.bytes = _results(folder / "sound")
        self.nodes = Nodes()
        begun = time.monotonic()
        self._run_to_end("calm", ON_RAY)
        self.seconds = time.monotonic() - begun
        if _results(folder / "calm") != self.bytes:
            raise SystemExit("a study on an undisturbed cluster has other bytes than without Ray")
        print(f"undisturbed: {self.seconds:.0f} s on the cluster, the same bytes", flush=True)

    def start(self, study: str, engine: str) -> subprocess.Popen[str]:
        """Begin the main job."""
        recipe = self.folder / "source" / f"{study}.yaml"
        text = RECIPE.replace("horizon_tokens: 256", LONGER)
        text += "search: {max_repetition: 100}\n"  # the data are few
        recipe.write_text(re.sub(r"engine: .*\n", engine, text))
        environment = dict(os.environ)
        if engine == ON_RAY:
            environment["RAY_ADDRESS"] = self.nodes.address
        arguments = ["run", str(recipe), "--study", str(self.folder / study)]
        log = (self.folder / f"{study}.log").open("a")
        return subprocess.Popen(
            [sys.executable, "-m", "mixwise", *arguments],
            env=environment,
            stdout=log,
            stderr=log,
            text=True,
        )

    def _run_to_end(self, study: str, engine: str) -> None:
        if self.start(study, engine).wait():
            raise SystemExit((self.folder / f"{study}.log").read_text()[-2000:])

    def judge(self, fault: Fault, rng: random.Random, number: int) -> Counted:
        """Break something once, run on to the end, and count."""
        self.renew(fault.n_nodes)
        study = f"{fault.name.replace(' ', '-')}-{number}"
        moment = rng.uniform(0.15, 0.9) * self.seconds
        driver = self.start(study, ON_RAY)
        time.sleep(moment)
        before = _read(self.folder / study)
        fault.strike(self, driver)
        code, n_runs = _wait(driver), 1
        while code and n_runs < MOST_RUNS:
            before = _merged(before, _read(self.folder / study))
            driver, n_runs = self.start(study, ON_RAY), n_runs + 1
            code = _wait(driver)
        after, found = _read(self.folder / study), _results(self.folder / study)
        counted = Counted(
            n_runs,
            lost=_missing(before, after) + _missing(self.sound, after),
            repeated=_changed(before, after) + max(len(after.scores) - len(self.sound.scores), 0),
            different=sum(found[name] != self.bytes[name] for name in self.bytes),
            code=code,
        )
        word = "passed" if counted.is_passed else "FAILED"
        print(
            f"{word} {fault.name} after {moment:.1f} s: {len(before.scores)} scores and "
            f"{len(before.runs)} runs were there; {counted.n_runs} run(s) of the command, "
            f"{counted.lost} lost, {counted.repeated} repeated, {counted.different} different",
            flush=True,
        )
        if not counted.is_passed:
            print((self.folder / f"{study}.log").read_text()[-3000:])
        shutil.rmtree(self.folder / study)
        return counted

    def renew(self, n_nodes: int) -> None:
        """A cluster of as many nodes as are wanted."""
        if len(self.nodes.others) > n_nodes - 1:
            self.restart(n_nodes)
        while len(self.nodes.others) < n_nodes - 1:
            self.nodes.add()

    def restart(self, n_nodes: int = 2) -> None:
        """End the whole cluster, its head with it, and start another."""
        self.nodes.close()
        self.nodes = Nodes(n_nodes)


def main(words: Sequence[str], n_each: int) -> int:
    """Try the faults that are asked for; the number of trials that fail."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    chosen = [fault for fault in FAULTS if all(word in fault.name for word in words)]
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as scratch:
        bed = Bed(Path(scratch))
        try:
            found = [bed.judge(fault, rng, k) for fault in chosen for k in range(n_each)]
        finally:
            bed.nodes.close()
    print(
        f"{len(found)} faults: {sum(c.lost for c in found)} lost, "
        f"{sum(c.repeated for c in found)} repeated, {sum(c.different for c in found)} different, "
        f"{sum(bool(c.code) for c in found)} not finished"
    )
    return sum(not counted.is_passed for counted in found)


# --- faults ---------------------------------------------------------------------------------------


def _kill_worker(bed: Bed, driver: subprocess.Popen[str]) -> None:
    """A process in which jobs run: below a seat, and below the server that forks it."""
    _kill_one(lambda: [pid for seat in _seats() for pid in _below(seat) if not _below(pid)], driver)


def _kill_seat(bed: Bed, driver: subprocess.Popen[str]) -> None:
    _kill_one(_seats, driver)


def _kill_raylet(bed: Bed, driver: subprocess.Popen[str]) -> None:
    bed.nodes.kill_raylet()


def _restart_head(bed: Bed, driver: subprocess.Popen[str]) -> None:
    bed.restart()


def _kill_driver(bed: Bed, driver: subprocess.Popen[str]) -> None:
    driver.kill()


def _stop_driver(bed: Bed, driver: subprocess.Popen[str]) -> None:
    driver.send_signal(signal.SIGTERM)


def _add_node(bed: Bed, driver: subprocess.Popen[str]) -> None:
    bed.nodes.add()


FAULTS = (
    Fault("worker killed", _kill_worker),
    Fault("seat killed", _kill_seat),
    Fault("raylet killed", _kill_raylet),
    Fault("head restarted", _restart_head),
    Fault("driver killed", _kill_driver),
    Fault("driver stopped", _stop_driver),
    Fault("node added", _add_node, n_nodes=1),
)


def _kill_one(find: Callable[[], list[int]], driver: subprocess.Popen[str]) -> None:
    """Kill one of some processes, once there are any."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until and driver.poll() is None:
        found = find()
        if found:
            os.kill(random.choice(found), signal.SIGKILL)
            return
        time.sleep(0.1)


def _seats() -> list[int]:
    return [pid for pid, (_, name) in _processes().items() if name.startswith("ray::Seat")]


def _below(pid: int) -> list[int]:
    """All processes that a process has started, and that those have."""
    every = _processes()
    found = [pid]
    for one in found:
        found += [child for child, (parent, _) in every.items() if parent == one]
    return found[1:]


def _processes() -> dict[int, tuple[int, str]]:
    """Parent and command of each process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text()
            command = (folder / "cmdline").read_text().replace("\0", " ")
        except (OSError, UnicodeDecodeError):
            continue  # it has ended
        found[int(folder.name)] = (int(status.rpartition(")")[2].split()[1]), command)
    return found


# --- what a study holds ---------------------------------------------------------------------------


def _wait(driver: subprocess.Popen[str]) -> int:
    try:
        return driver.wait(MOST_SECONDS)
    except subprocess.TimeoutExpired:
        driver.kill()
        return driver.wait()


def _read(study: Path) -> Finished:
    files = sorted(study.glob("experts/*/run.json")) + sorted(study.glob("references/*/run.json"))
    runs = {str(file.relative_to(study)): file.read_bytes() for file in files}
    with _ledger(study) as rows:
        return Finished(runs, {str(name): float(seconds) for name, seconds in rows})


@contextmanager
def _ledger(study: Path) -> Iterator[list[tuple[Any, ...]]]:
    copy = copy_to_memory(study / "ledger.sqlite")
    try:
        known = copy.execute("SELECT name FROM sqlite_master WHERE name = 'observation'").fetchall()
        query = "SELECT fingerprint, seconds FROM observation"
        yield copy.execute(query).fetchall() if known else []
    finally:
        copy.close()


def _results(study: Path) -> dict[str, object]:
    """All that must be the same bytes: result files, and the values of the ledger."""
    found: dict[str, object] = {
        name: (study / name).read_bytes() if (study / name).is_file() else b"" for name in COMPARED
    }
    copy = copy_to_memory(study / "ledger.sqlite")
    query = (
        "SELECT fingerprint, metric, value, examples FROM observation JOIN measurement "
        "ON observation.id = measurement.observation ORDER BY fingerprint, metric"
    )
    found["ledger"] = copy.execute(query).fetchall()
    copy.close()
    return found


def _merged(one: Finished, other: Finished) -> Finished:
    """What stood at either moment, as it stood first."""
    return Finished({**other.runs, **one.runs}, {**other.scores, **one.scores})


def _missing(before: Finished, after: Finished) -> int:
    return len(before.runs.keys() - after.runs) + len(before.scores.keys() - after.scores)


def _changed(before: Finished, after: Finished) -> int:
    runs = sum(after.runs.get(name, content) != content for name, content in before.runs.items())
    scores = before.scores.items()
    return runs + sum(after.scores.get(name, seconds) != seconds for name, seconds in scores)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="of the faults' names")
    parser.add_argument("--each", type=int, default=2, help="trials of each fault")
    asked = parser.parse_args()
    sys.exit(main(asked.words, asked.each))
