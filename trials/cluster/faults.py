"""What may break on a cluster, in its network, and in its store."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from trials.cluster.nodes import Cluster
from trials.cluster.nodes_apart import NodesApart
from trials.cluster.processes import below, seats
from trials.cluster.s3 import StoreServer

_PATIENCE_SECONDS = 60.0
_BLINK_SECONDS = 2.0


@dataclass
class Struck:
    """What a fault may break.

    Args:
        nodes: The cluster.
        renew: Starts another in its place, of as many nodes.
        driver: The command.
        store: The server; None where the nodes share a disk.
    """

    nodes: Cluster
    renew: Callable[[int], None]
    driver: subprocess.Popen[str]
    store: StoreServer | None = None


@dataclass(frozen=True)
class Fault:
    """Something that breaks.

    Args:
        name: What.
        strike: Breaks it.
        n_nodes: When the job begins.
        mend: Done once the command has ended, before it is run again.
        code: That the command ends with, where it is not at its end yet; None for any.
    """

    name: str
    strike: Callable[[Struck], None]
    n_nodes: int = 2
    mend: Callable[[Struck], None] = lambda struck: None
    code: int | None = None


def _kill_worker(struck: Struck) -> None:
    """A process in which jobs run: below a seat, and below the server that forks it."""
    _kill_one(lambda: [pid for seat in seats() for pid in below(seat) if not below(pid)], struck)


def _kill_seat(struck: Struck) -> None:
    _kill_one(seats, struck)


def _kill_raylet(struck: Struck) -> None:
    struck.nodes.kill_raylet()


def _restart_head(struck: Struck) -> None:
    struck.renew(2)


def _kill_driver(struck: Struck) -> None:
    struck.driver.kill()


def _stop_driver(struck: Struck) -> None:
    struck.driver.send_signal(signal.SIGTERM)


def _add_node(struck: Struck) -> None:
    struck.nodes.add()


def _kill_one(find: Callable[[], list[int]], struck: Struck) -> None:
    """Kill one of some processes, once there are any."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until and struck.driver.poll() is None:
        found = find()
        if found:
            os.kill(random.choice(found), signal.SIGKILL)
            return
        time.sleep(0.1)


FAULTS = (
    Fault("worker killed", _kill_worker),
    Fault("seat killed", _kill_seat),
    Fault("raylet killed", _kill_raylet),
    Fault("head restarted", _restart_head),
    Fault("driver killed", _kill_driver, code=-signal.SIGKILL),
    Fault("driver stopped", _stop_driver, code=128 + signal.SIGTERM),
    Fault("node added", _add_node, n_nodes=1),
)


def _apart(struck: Struck) -> NodesApart:
    assert isinstance(struck.nodes, NodesApart)  # these faults are tried where it is
    return struck.nodes


def _cut_node_off(struck: Struck) -> None:
    _apart(struck).cut_off()


def _end_node(struck: Struck) -> None:
    """The one that was cut off."""
    _apart(struck).end_cut_off()


def _cut_node_off_a_moment(struck: Struck) -> None:
    """Less than it takes until a node counts as lost."""
    _cut_node_off(struck)
    time.sleep(_BLINK_SECONDS)
    _apart(struck).reconnect()


NETWORK_FAULTS = (
    Fault("node cut off", _cut_node_off, mend=_end_node),
    Fault("node cut off a moment", _cut_node_off_a_moment),
)


def _store(struck: Struck) -> StoreServer:
    assert struck.store is not None  # these faults are tried with one
    return struck.store


def _fill_store(struck: Struck) -> None:
    _store(struck).is_full = True


def _free_store(struck: Struck) -> None:
    _store(struck).is_full = False


def _take_store_away(struck: Struck) -> None:
    _store(struck).is_away = True


def _bring_store_back(struck: Struck) -> None:
    _store(struck).is_away = False


def _cut_store_off(struck: Struck) -> None:
    """Away for a moment, within what a call is tried again."""
    _take_store_away(struck)
    time.sleep(_BLINK_SECONDS)
    _bring_store_back(struck)


def _empty_store(struck: Struck) -> None:
    _store(struck).empty()


STORE_FAULTS = (
    Fault("store full", _fill_store, mend=_free_store),
    Fault("store away", _take_store_away, mend=_bring_store_back),
    Fault("store away a moment", _cut_store_off),
    Fault("store emptied", _empty_store),
)
