"""A Ray cluster of raylets on this host, with its disk and its address."""

from __future__ import annotations

from typing import Any, Protocol

_SIZE = {"num_cpus": 1, "object_store_memory": 10**8}


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

    @property
    def at_head(self) -> list[str]:
        """What a command begins with to be run where the head is."""
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

    @property
    def at_head(self) -> list[str]:
        """See `Cluster.at_head`."""
        return []

    def add(self) -> None:
        """See `Cluster.add`."""
        self._others.append(self._cluster.add_node(**_SIZE))

    def kill_raylet(self) -> None:
        """See `Cluster.kill_raylet`."""
        self._others.pop().kill_raylet()

    def close(self) -> None:
        """See `Cluster.close`."""
        self._cluster.shutdown()
