"""The connection of this process to a Ray cluster; Ray allows one.

Method:
    ``local`` starts a cluster of this machine for this process alone, ``auto`` joins the one that
    `ray start` has begun here (or that ``RAY_ADDRESS`` names), and any other address is Ray's own.
    Ray takes over the signal handlers of whoever imports and joins it: they are put back, since
    mixwise's leave a snapshot.

Source:
    Ray 2.x, ``ray.init``, and what its exceptions say of a lost head.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from mixwise.engine.cluster import Host
from mixwise.errors import MissingDependencyError, ResourceError, first_line, printable

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ANSWER_SECONDS = 5.0
_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a warning at each start
    "RAY_DEDUP_LOGS": "0",
}


@dataclass(slots=True)
class _Joined:
    """What this process has joined by itself; empty where the caller was connected already."""

    address: str = ""


_joined = _Joined()


def load_ray() -> Any:
    """The package, once it is asked for.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    if find_spec("ray") is None:
        raise MissingDependencyError(
            "`engine.cluster: ray` needs Ray on every host: install it with `pip install "
            "'mixwise[ray]'`, or set `engine.cluster: local`"
        )
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    with _own_signals():
        import ray
    return ray


def join(address: str) -> Any:
    """Connect this process to a cluster, unless it is already.

    Args:
        address: ``local``, ``auto``, ``host:port`` or ``ray://host:port``.

    Returns:
        The package ``ray``, connected.

    Raises:
        MissingDependencyError: If Ray is not installed.
        ResourceError: If there is no cluster at the address, or it is of another Ray or Python.
    """
    ray = load_ray()
    if ray.is_initialized():
        return ray
    here: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # ours tells nobody
    with _own_signals():
        try:
            ray.init(address, log_to_driver=False, logging_level="ERROR", **here)
        except Exception as error:  # Ray raises errors of many kinds
            raise ResourceError(
                f"`engine.address: {printable(address)}`: no Ray cluster can be joined there "
                f"({printable(first_line(error))}): {_remedy(address)}"
            ) from None
    _joined.address = address
    return ray


def leave() -> None:
    """Disconnect, where `join` has connected; a cluster that it has started ends."""
    ray = sys.modules.get("ray")
    if ray is not None and _joined.address and ray.is_initialized():
        with _own_signals():
            ray.shutdown()
    _joined.address = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is alive, and Ray's own key of it."""

    host: Host
    key: str


def find_nodes(ray: Any) -> tuple[Node, ...]:
    """The nodes that are alive, by name: their address, and a port where some share one."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    addresses = [node["NodeManagerAddress"] for node in alive]
    nodes = []
    for node in alive:
        name, has = node["NodeManagerAddress"], node["Resources"]
        if addresses.count(name) > 1:
            name = f"{name}:{node['NodeManagerPort']}"
        n_cores, n_gpus = int(has.get("CPU", 0)), int(has.get("GPU", 0))
        host = Host(name, n_cores, n_gpus, int(has.get("memory", 0)))
        nodes.append(Node(host, node["NodeID"]))
    return tuple(sorted(nodes, key=lambda node: node.host.name))


def is_head_there(ray: Any) -> bool:
    """Whether the head of the cluster takes calls; where that is not known, it is.

    Ray itself waits a minute for a head that is gone, and then ends the process; its client, which
    may not reach the port that is tried here, raises by itself.
    """
    if is_client():
        return True
    try:
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS):
            return True
    except ValueError:
        return True
    except OSError:
        return False


def is_client() -> bool:
    """Whether this process is connected through Ray's client: by an address of ``ray://``."""
    client = sys.modules.get("ray.util.client")
    return client is not None and bool(client.ray.is_connected())


def last_line(error: Exception) -> str:
    """The last line of an error's text: Ray's end in what has happened, and begin in tables."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__


def _remedy(address: str) -> str:
    if address == "auto":
        return (
            "start one here with `ray start --head`, join one with `ray start --address=HOST:PORT`,"
            " name another address, or set `engine.address: local`"
        )
    if address.startswith("ray://"):
        return "see that its head runs with `--ray-client-server-port`, and install `ray[client]`"
    return "see that it runs, with `ray status`, and that this host may reach it"


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handlers of signals that are set now."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
