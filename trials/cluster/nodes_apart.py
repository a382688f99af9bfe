"""A Ray cluster of raylets on this host, each with an empty disk or an address of its own."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from trials.cluster.network import Network
from trials.cluster.processes import end_all, raylets_below
from trials.cluster.s3 import free_port

_PATIENCE_SECONDS = 120.0
_FATE_SECONDS = 2.0
_HIDE = 'mount -t tmpfs none "$1" && mkdir "$1/tmp" && shift && exec "$@"'


class NodesApart:
    """A cluster whose nodes do not share all with each other and with this host.

    Args:
        hidden: A folder in whose place each has an empty disk of its own; None for a shared disk.
        logs: Folder of what nodes print.
        environment: Variables that the nodes have beside those of this process.
        network: Where each is a host with an address of its own; None for this host's.
    """

    def __init__(
        self,
        hidden: Path | None,
        logs: Path,
        environment: Mapping[str, str],
        network: Network | None = None,
    ) -> None:
        self._hidden, self._logs = hidden, logs
        self._environment = environment
        self._network = network
        self._port = self._client_port = 0
        self._nodes: dict[int, subprocess.Popen[bytes]] = {}  # by the number of their host
        self._cut_off: dict[int, subprocess.Popen[bytes]] = {}
        self.add()

    @property
    def address(self) -> str:
        """See `Cluster.address`."""
        return f"{self._address_of(1)}:{self._port}"

    @property
    def client_address(self) -> str:
        """Of the head, for whoever is on no node."""
        return f"ray://{self._address_of(1)}:{self._client_port}"

    @property
    def n_nodes(self) -> int:
        """See `Cluster.n_nodes`."""
        return len(self._nodes)

    @property
    def at_head(self) -> list[str]:
        """See `Cluster.at_head`."""
        return self._at(1)

    def add(self) -> None:
        """See `Cluster.add`."""
        n = next(k for k in itertools.count(1) if k not in self._nodes | self._cut_off)
        if self._network is not None:
            self._network.join(n)
        if n == 1:
            self._port, self._client_port = free_port(), free_port()
            role = ["--head", f"--port={self._port}", "--include-dashboard=false"]
            role += [f"--ray-client-server-port={self._client_port}"]
        else:
            role = [f"--address={self.address}"]
        start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *role]
        start += ["--num-cpus=1", "--object-store-memory=100000000"]
        start += [f"--node-ip-address={self._address_of(n)}"]
        environment = {
            **os.environ,
            **self._environment,
            "RAY_TMPDIR": tempfile.gettempdir(),
        }
        command = [*self._at(n), *start]
        if self._hidden is not None:
            environment["TMPDIR"] = str(self._hidden / "tmp")
            environment["MIXWISE_CACHE"] = str(self._hidden / f"cache-of-node-{n}")
            hide = ["unshare", "--mount", "sh", "-c", _HIDE, "sh", str(self._hidden)]
            command = [*self._at(n), *hide, *start]
        with (self._logs / str(n)).open("ab") as log:
            node = subprocess.Popen(
                command,
                env=environment,
                cwd="/",
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._nodes[n] = node
        self._wait_for(n)

    def kill_raylet(self) -> None:
        """See `Cluster.kill_raylet`."""
        _, node = self._nodes.popitem()
        for pid in raylets_below(node.pid):
            os.kill(pid, signal.SIGKILL)
        time.sleep(_FATE_SECONDS)  # its processes see that it is gone, and end by themselves
        end_all(node)

    def cut_off(self) -> None:
        """Pull the cable of the last node, which goes on and does not know."""
        assert self._network is not None  # a cable is there
        n, node = self._nodes.popitem()
        self._network.cut(n)
        self._cut_off[n] = node

    def reconnect(self) -> None:
        """Put the cable in again."""
        assert self._network is not None  # a cable is there
        n, node = self._cut_off.popitem()
        self._nodes[n] = node
        self._network.mend(n)

    def close(self) -> None:
        """See `Cluster.close`."""
        self.end_cut_off()
        while self._nodes:
            end_all(self._nodes.popitem()[1])

    def end_cut_off(self) -> None:
        """Kill the nodes that were cut off and not reconnected."""
        while self._cut_off:
            end_all(self._cut_off.popitem()[1])

    def _at(self, n: int) -> list[str]:
        return [] if self._network is None else self._network.at(n)

    def _address_of(self, n: int) -> str:
        return "127.0.0.1" if self._network is None else self._network.address(n)

    def count_files(self) -> list[int]:
        """Files in the cache that each node alone has.

        Raises:
            SystemExit: If a node sees anything of the disk of this host there.
        """
        assert self._hidden is not None  # disks are apart
        found = []
        for n, node in self._nodes.items():
            [raylet] = raylets_below(node.pid)
            disk = Path(f"/proc/{raylet}/root{self._hidden}")
            strange = {path.name for path in disk.iterdir()} - {"tmp", f"cache-of-node-{n}"}
            if strange:
                raise SystemExit(f"node {n} shares a disk: it has {', '.join(sorted(strange))}")
            found.append(sum(path.is_file() for path in disk.glob("cache-of-node-*/hosts/**/*")))
        return found

    def _wait_for(self, n: int) -> None:
        """Until the head knows of as many nodes that are alive, the new one among them."""
        ask = (
            f"import ray; ray.init({self.address!r}, logging_level='ERROR', log_to_driver=False)\n"
        )
        ask += "print(sum(node['Alive'] for node in ray.nodes()))"
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until and self._nodes[n].poll() is None:
            done = subprocess.run(
                [*self.at_head, sys.executable, "-c", ask],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.stdout.strip() == str(self.n_nodes):
                return
        raise SystemExit((self._logs / str(n)).read_text()[-3000:] + done.stderr[-1000:])
