"""A source, a study that was never disturbed, and a cluster on which others are."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from trials.cluster.faults import Fault, Struck
from trials.cluster.held import Counted, Held, count, look, merged, results
from trials.cluster.network import Network
from trials.cluster.nodes import Cluster, Nodes
from trials.cluster.nodes_apart import NodesApart
from trials.cluster.s3 import URL, StoreServer
from trials.tiny_study import RECIPE, write_source

_LOCAL = "engine: {workers: 2, threads: 1}\n"
_ON_RAY = "engine: {cluster: ray, workers: 2, threads: 1}\n"
_WITH_STORE = f"engine: {{cluster: ray, workers: 2, threads: 1, storage: {URL}}}\n"
_LONGER = "horizon_tokens: 6400"  # 100 steps: long enough to be hit
_WIDE = {  # two runs of two processes, one after the other
    r", gamma: {files: gamma.jsonl}": "",
    r"calibration: .*\n": "calibration: {mixtures: 0}\n",
    r"validation: .*\n": "",
    r"final: .*\n": "final: {train: false}\n",
    r"training:\n": "training:\n  processes_per_run: 2\n  snapshots: 20\n",
    r"workers: 2": "workers: 1",
}
_DEFECT = re.compile(r"this is a defect of mixwise|^Traceback", re.MULTILINE)
_MOST_RUNS = 4
_MOST_SECONDS = 900.0  # of one command, on a busy machine


class Bed:
    """Where faults are tried.

    Args:
        folder: Of studies, data and caches; nodes without a shared disk have an empty one there.
        seen: Where logs of nodes and the store are.
        has_storage: Whether files travel by a store.
        has_network: Whether each node is a host of its own, by its address.
        is_wide: Whether each run takes both nodes, for a process on each.
        is_client: Whether the command is run here, on no node, by an address of ``ray://``.
    """

    def __init__(
        self,
        folder: Path,
        seen: Path,
        *,
        has_storage: bool,
        has_network: bool,
        is_wide: bool,
        is_client: bool,
    ) -> None:
        self._folder, self._seen = folder, seen
        self._is_wide, self._is_client = is_wide, is_client
        self._network = Network() if has_network else None
        self._engine = _WITH_STORE if has_storage else _ON_RAY
        self._store: StoreServer | None = None
        self._nodes: Cluster | None = None
        self._sound = Held({}, {})
        self._bytes: dict[str, object] = {}
        self._seconds = 0.0
        if has_storage:
            host = self._network.here if self._network else "127.0.0.1"
            self._store = StoreServer(seen / "store", host)

    def begin(self) -> None:
        """Make the undisturbed study, and one on the cluster, which must be the same."""
        write_source(self._folder / "source")
        os.environ["MIXWISE_CACHE"] = str(self._folder / "cache")
        self._run_to_end("sound", _LOCAL)
        self._sound, self._bytes = look(self._folder / "sound"), results(self._folder / "sound")
        if self._network is not None:
            self._network.open()
        if self._store is not None:
            self._store.start()
        self._renew(2)
        begun = time.monotonic()
        self._run_to_end("calm", self._engine)
        self._seconds = time.monotonic() - begun
        found = results(self._folder / "calm")
        different = [name for name in self._bytes if found[name] != self._bytes[name]]
        if different:
            raise SystemExit(f"undisturbed on the cluster, other bytes of {', '.join(different)}")
        print(f"undisturbed: {self._seconds:.0f} s on the cluster, the same bytes", flush=True)
        if self._store is not None and isinstance(self._nodes, NodesApart):
            print(f"files that each node has fetched or made: {self._nodes.count_files()}")

    def close(self) -> None:
        """End the cluster, the store and the network."""
        if self._nodes is not None:
            self._nodes.close()
        if self._store is not None:
            self._store.stop()
        if self._network is not None:
            self._network.close()

    def judge(self, fault: Fault, rng: random.Random, number: int) -> Counted:
        """Break something once, run on to the end, and count."""
        self._renew(fault.n_nodes)
        name = f"{fault.name.replace(' ', '-')}-{number}"
        study = self._folder / name
        moment = rng.uniform(0.15, 0.9) * self._seconds
        driver = self._start(name, self._engine)
        time.sleep(moment)
        before = look(study)
        assert self._nodes is not None  # renewed above
        struck = Struck(self._nodes, self._restart, driver, self._store)
        fault.strike(struck)
        if self._is_wide:
            self._renew(2)  # a run waits for as many
        code, n_runs = _wait(driver), 1
        wrong = "" if fault.code in (None, code) or not code else f"exit {code}"
        fault.mend(struck)
        while code and n_runs < _MOST_RUNS:
            before = merged(before, look(study))
            code, n_runs = _wait(self._start(name, self._engine)), n_runs + 1
        found = results(study)
        differences = sum(found[each] != self._bytes[each] for each in self._bytes)
        if _DEFECT.search((self._folder / f"{name}.log").read_text()):
            wrong += " with a defect"
        counted = count(before, self._sound, look(study), differences, n_runs, code, wrong)
        self._tell(fault, counted, f"after {moment:.1f} s: {_amount(before)}", name)
        shutil.rmtree(study)
        return counted

    def _tell(self, fault: Fault, counted: Counted, when: str, name: str) -> None:
        word = "passed" if counted.is_passed else "FAILED"
        print(
            f"{word} {fault.name} {when} were there; {counted.n_runs} run(s) of the command, "
            f"{counted.lost} lost, {counted.repeated} repeated, {counted.different} different"
            f"{', wrong: ' * bool(counted.wrong)}{counted.wrong}",
            flush=True,
        )
        log = (self._folder / f"{name}.log").read_text()
        said = [line for line in log.splitlines() if line.startswith("mixwise: ")]
        print("\n".join(f"    {line}" for line in said) if counted.is_passed else log[-4000:])

    def _renew(self, n_nodes: int) -> None:
        """A cluster of as many nodes as are wanted."""
        if self._nodes is None or self._nodes.n_nodes > n_nodes:
            self._restart(n_nodes)
        assert self._nodes is not None  # started above
        while self._nodes.n_nodes < n_nodes:
            self._nodes.add()

    def _restart(self, n_nodes: int) -> None:
        """End the whole cluster, its head with it, and start another."""
        if self._nodes is not None:
            self._nodes.close()
        if self._store is None and self._network is None and not self._is_client:
            self._nodes = Nodes()
        else:
            hidden = self._folder if self._store else None
            variables = self._store.environment if self._store else {}
            self._nodes = NodesApart(hidden, self._seen, variables, self._network)
        self._renew(n_nodes)

    def _start(self, study: str, engine: str) -> subprocess.Popen[str]:
        """Begin the main job."""
        recipe = self._folder / "source" / f"{study}.yaml"
        text = RECIPE.replace("horizon_tokens: 256", _LONGER)
        text += "search: {max_repetition: 100}\n"  # the data are few
        text = re.sub(r"engine: .*\n", engine, text)
        if self._is_client and isinstance(self._nodes, NodesApart):
            address = f"cluster: ray, address: '{self._nodes.client_address}'"
            text = text.replace("cluster: ray", address)
        for found, wanted in _WIDE.items() if self._is_wide else ():
            text = re.sub(found, wanted, text)
        recipe.write_text(text)
        environment, command = dict(os.environ), [sys.executable, "-m", "mixwise"]
        if self._nodes is not None and not self._is_client:
            environment["RAY_ADDRESS"] = self._nodes.address
            command = [*self._nodes.at_head, *command]
        if self._store is not None:
            environment |= self._store.environment
        arguments = ["run", str(recipe), "--study", str(self._folder / study)]
        with (self._folder / f"{study}.log").open("a") as log:
            return subprocess.Popen(
                [*command, *arguments],
                env=environment,
                stdout=log,
                stderr=log,
                text=True,
            )

    def _run_to_end(self, study: str, engine: str) -> None:
        if _wait(self._start(study, engine)):
            raise SystemExit((self._folder / f"{study}.log").read_text()[-4000:])


def _wait(driver: subprocess.Popen[str]) -> int:
    try:
        return driver.wait(_MOST_SECONDS)
    except subprocess.TimeoutExpired:
        driver.kill()
        return driver.wait()


def _amount(held: Held) -> str:
    return f"{len(held.scores)} scores and {len(held.runs)} runs"
