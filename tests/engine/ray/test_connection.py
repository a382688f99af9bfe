from __future__ import annotations

import signal
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from mixwise.engine.ray import connection
from mixwise.engine.ray.connection import find_nodes, is_client, is_head_there, join, load_ray
from mixwise.errors import MissingDependencyError, ResourceError


def node(address: str, port: int, *, alive: bool = True, **resources: float) -> dict[str, Any]:
    return {
        "NodeManagerAddress": address,
        "NodeManagerPort": port,
        "NodeID": f"id{port}",
        "Alive": alive,
        "Resources": resources,
    }


class FakeRay:
    """What is asked of the package, without a cluster."""

    def __init__(self, nodes: list[dict[str, Any]], gcs: str = "") -> None:
        self._nodes = nodes
        self.gcs_address = gcs
        self.is_joined = False

    def nodes(self) -> list[dict[str, Any]]:
        return self._nodes

    def get_runtime_context(self) -> FakeRay:
        return self

    def is_initialized(self) -> bool:
        return self.is_joined

    def init(self, address: str, **options: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise ConnectionError(f"no cluster at {address}\nand more")


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'mixwise\[ray\]'"):
        load_ray()


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("auto", "ray start --head"),
        ("10.0.0.1:6379", "ray status"),
        ("ray://10.0.0.1:10001", "ray-client-server-port"),
    ],
)
def test_no_cluster_is_one_line_with_a_remedy(
    address: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "load_ray", lambda: FakeRay([]))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ResourceError, match=r"no Ray cluster can be joined there") as raised:
        join(address)
    assert remedy in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert signal.getsignal(signal.SIGTERM) is before


def test_whoever_is_connected_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = FakeRay([])
    ray.is_joined = True
    monkeypatch.setattr(connection, "load_ray", lambda: ray)
    assert join("auto") is ray


def test_nodes_are_told_apart_on_one_host_and_dead_ones_left_out() -> None:
    ray = FakeRay(
        [
            node("b", 3, CPU=8.0, GPU=2.0, memory=64e9),
            node("a", 2, CPU=1.0),
            node("a", 1, CPU=4.0, memory=1e9),
            node("c", 4, alive=False, CPU=99.0),
        ]
    )
    found = find_nodes(ray)
    assert [n.host.name for n in found] == ["a:1", "a:2", "b"]
    assert [(n.host.n_cores, n.host.n_gpus) for n in found] == [(4, 0), (1, 0), (8, 2)]
    assert found[2].key == "id3"


def test_rays_client_finds_out_by_itself_that_its_head_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = SimpleNamespace(ray=SimpleNamespace(is_connected=lambda: True))
    monkeypatch.setitem(sys.modules, "ray.util.client", client)
    assert is_client()
    assert is_head_there(FakeRay([], "127.0.0.1:9"))


def test_a_head_that_takes_no_calls_is_gone() -> None:
    assert not is_head_there(FakeRay([], "127.0.0.1:9"))
    assert is_head_there(FakeRay([], "behind a client"))
