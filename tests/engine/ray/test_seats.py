from __future__ import annotations

from mixwise.engine.ray.seats import choose_variables

HERE = {"PATH": "/bin", "HF_HUB_OFFLINE": "1", "MIXWISE_CACHE": "/fast", "HF_HOME": "/hub"}


def test_jobs_get_what_decides_results_as_it_is_here() -> None:
    assert choose_variables(HERE, has_shared_disk=True) == {
        "HF_HUB_OFFLINE": "1",
        "MIXWISE_CACHE": "/fast",
        "HF_HOME": "/hub",
    }


def test_a_host_without_our_disk_keeps_its_own_folders() -> None:
    assert choose_variables(HERE, has_shared_disk=False) == {"HF_HUB_OFFLINE": "1"}
