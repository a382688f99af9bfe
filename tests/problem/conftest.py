"""Networks of some dozen numbers: looking for memory to give back takes longer than all else."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_search_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixwise.engine.worker_cache.give_memory_back", lambda: None)
