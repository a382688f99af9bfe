import pytest

from mixwise.engine.cluster import find_versions, require_same_versions
from mixwise.errors import ResourceError


def test_a_host_with_the_same_software_is_taken() -> None:
    require_same_versions("node", find_versions())


def test_a_host_with_other_software_is_named() -> None:
    theirs = {**find_versions(), "torch": "1.0"}
    with pytest.raises(ResourceError, match=r"^node: has torch 1\.0, but this host has "):
        require_same_versions("node", theirs)


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixwise.engine.cluster._PACKAGES", ("no-such-package",))
    assert find_versions()["no-such-package"] == "not installed"
