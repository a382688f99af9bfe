from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mixwise import registry
from mixwise.engine.engines import ENGINES, NamedEngine, find_cluster, register_engine
from mixwise.engine.local import LocalEngine
from mixwise.engine.serial import HereEngine
from mixwise.errors import RecipeError
from mixwise.recipe.sections import EngineSettings
from mixwise.registry import names


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_added", {kind: [] for kind in registry._OWN})
    rows = dict(ENGINES._rows)
    register_engine(NamedEngine("here", lambda n_workers, n_threads, n_devices: HereEngine()))
    yield
    ENGINES._rows = rows


def test_the_names_of_recipes_are_those_of_the_table() -> None:
    assert names("engine") == tuple(ENGINES)
    opened = ENGINES.find("local").open(2, 1, 0)
    assert isinstance(opened, LocalEngine)
    assert opened.n_workers == 2
    opened.close()


def test_an_engine_of_ones_own_is_named_in_recipes(registered: None) -> None:
    assert EngineSettings(cluster="here").cluster == "here"
    assert isinstance(ENGINES.find("here").open(4, 1, 0), HereEngine)
    with pytest.raises(RecipeError, match="there is an engine `here` already"):
        register_engine(NamedEngine("here", LocalEngine))


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="`raj` is not an engine: did you mean `ray`"):
        EngineSettings(cluster="raj")


@pytest.mark.parametrize("key", [{"address": "local"}, {"memory_gb": 4}])
def test_keys_of_clusters_are_refused_on_this_machine(key: dict[str, Any]) -> None:
    [name] = key
    with pytest.raises(RecipeError, match=rf"`engine\.{name}` is of a cluster, but .* is `local`"):
        find_cluster(EngineSettings(**key))


def test_this_machine_is_a_cluster_of_one_host() -> None:
    cluster = find_cluster(EngineSettings())
    [host] = cluster.hosts
    assert not cluster.is_elsewhere
    assert host.n_cores >= 1
    assert cluster.call_everywhere(abs, -3) == [(host.name, 3)]
    opened = cluster.open(2, 1, 0)
    assert isinstance(opened, LocalEngine)
    opened.close()
