"""A Ray cluster of raylets on this host: with its disk, or each with an empty one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from trials.cluster.processes import end_all, raylets_below
from trials.cluster.s3 import free_port

_SIZE = {"num_cpus": 1, "object_store_memory": 10**8}
_PATIENCE_SECONDS = 120.0
_FATE_SECONDS = 2.0
_HIDE = 'mount -t tmpfs none "$1" && mkdir "$1/tmp" && shift && exec "$@"'


class Cluster(Protocol):
    """Some raylets, the first of which is the head."""

    @property
    def address(self) -> str:
        """Of the head."""
        ...

    @property
    def n_nodes(self) -> int:
        """Nodes that are there."""
        ...

    def add(self) -> None:
        """Let a node join."""
        ...

    def kill_raylet(self) -> None:
        """Kill the last node's raylet, and its processes end."""
        ...

    def close(self) -> None:
        """End all."""
        ...


class Nodes:
    """A cluster whose nodes have the disk of this host."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as LocalCluster

        head = {**_SIZE, "include_dashboard": False}
        self._cluster: Any = LocalCluster(initialize_head=True, head_node_args=head)
        self._others: list[Any] = []

    @property
    def address(self) -> str:
        """See `Cluster.address`."""
        return str(self._cluster.address)

    @property
    def n_nodes(self) -> int:
        """See `Cluster.n_nodes`."""
        return 1 + len(self._others)

    def add(self) -> None:
        """See `Cluster.add`."""
        self._others.append(self._cluster.add_node(**_SIZE))

    def kill_raylet(self) -> None:
        """See `Cluster.kill_raylet`."""
        self._others.pop().kill_raylet()

    def close(self) -> None:
        """See `Cluster.close`."""
        self._cluster.shutdown()


class NodesApart:
    """A cluster whose nodes have an empty disk, each its own, in the place of a folder.

    Args:
        hidden: The folder.
        logs: Folder of what nodes print.
        environment: Variables that the nodes have beside those of this process.
    """

    def __init__(self, hidden: Path, logs: Path, environment: Mapping[str, str]) -> None:
        self._hidden, self._logs = hidden, logs
        self._environment = environment
        self._port = 0
        self._nodes: list[subprocess.Popen[bytes]] = []
        self.add()

    @property
    def address(self) -> str:
        """See `Cluster.address`."""
        return f"127.0.0.1:{self._port}"

    @property
    def n_nodes(self) -> int:
        """See `Cluster.n_nodes`."""
        return len(self._nodes)

    def add(self) -> None:
        """See `Cluster.add`."""
        if not self._nodes:
            self._port = free_port()
            role = ["--head", f"--port={self._port}", "--include-dashboard=false"]
        else:
            role = [f"--address={self.address}"]
        n = self.n_nodes + 1
        start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *role]
        start += ["--num-cpus=1", "--object-store-memory=100000000", "--node-ip-address=127.0.0.1"]
        environment = {
            **os.environ,
            **self._environment,
            "RAY_TMPDIR": tempfile.gettempdir(),
            "TMPDIR": str(self._hidden / "tmp"),
            "MIXWISE_CACHE": str(self._hidden / f"cache-of-node-{n}"),
        }
        with (self._logs / str(n)).open("ab") as log:
            node = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", _HIDE, "sh", str(self._hidden), *start],
                env=environment,
                cwd="/",
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._nodes.append(node)
        self._wait_for(n)

    def kill_raylet(self) -> None:
        """See `Cluster.kill_raylet`."""
        node = self._nodes.pop()
        for pid in raylets_below(node.pid):
            os.kill(pid, signal.SIGKILL)
        time.sleep(_FATE_SECONDS)  # its processes see that it is gone, and end by themselves
        end_all(node)

    def close(self) -> None:
        """See `Cluster.close`."""
        while self._nodes:
            end_all(self._nodes.pop())

    def count_files(self) -> list[int]:
        """Files in the cache that each node alone has.

        Raises:
            SystemExit: If a node sees anything of the disk of this host there.
        """
        found = []
        for n, node in enumerate(self._nodes, 1):
            [raylet] = raylets_below(node.pid)
            disk = Path(f"/proc/{raylet}/root{self._hidden}")
            strange = {path.name for path in disk.iterdir()} - {"tmp", f"cache-of-node-{n}"}
            if strange:
                raise SystemExit(f"node {n} shares a disk: it has {', '.join(sorted(strange))}")
            found.append(sum(path.is_file() for path in disk.glob("cache-of-node-*/hosts/**/*")))
        return found

    def _wait_for(self, n: int) -> None:
        """Until the head knows of so many nodes that are alive."""
        ask = (
            f"import ray; ray.init({self.address!r}, logging_level='ERROR', log_to_driver=False)\n"
        )
        ask += "print(sum(node['Alive'] for node in ray.nodes()))"
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until and self._nodes[-1].poll() is None:
            done = subprocess.run(
                [sys.executable, "-c", ask], capture_output=True, text=True, check=False
            )
            if done.stdout.strip() == str(n):
                return
        raise SystemExit((self._logs / str(n)).read_text()[-3000:] + done.stderr[-1000:])
