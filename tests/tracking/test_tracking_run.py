from __future__ import annotations

from pathlib import Path

import pytest

from mixwise.recipe.tracking import Tracking
from mixwise.tracking.run import TrackedRun


def tracked(folder: Path, to: tuple[str, ...] = (), **changes: object) -> TrackedRun:
    given: dict[str, object] = {
        "to": to,
        "project": "mixes",
        "study": "alps",
        "study_id": "1234",
        "kind": "reference",
        "key": "abcdef0123456789",
        "mixture": {"alpha": 0.25, "beta": 0.75},
        "seed": 3,
        "folder": folder,
        "mlflow_uri": f"sqlite:///{folder}/mlflow.db",
    }
    return TrackedRun.model_validate(given | changes)


def study_run(folder: Path, to: tuple[str, ...] = ()) -> TrackedRun:
    return tracked(folder, to, kind="study", key="", mixture={}, seed=None, facts={"base": "b"})


def test_a_run_is_found_by_study_kind_domain_and_mixture(tmp_path: Path) -> None:
    run = tracked(tmp_path, attempt="77")
    assert run.id == "1234-abcdef0123456789-77"
    assert run.name == "reference alpha=0.25 beta=0.75 seed 3"
    assert run.folder_name == "reference-alpha=0.25-beta=0.75-seed-3-abcdef01-77"
    assert run.tags["mixwise.kind"] == "reference"
    assert run.tags["mixwise.mixture"] == "alpha=0.25 beta=0.75"
    assert run.settings == {"share/alpha": 0.25, "share/beta": 0.75, "seed": 3}
    expert = tracked(tmp_path, kind="expert", domain="a/ñ", mixture={"a/ñ": 1.0})
    assert expert.tags["mixwise.domain"] == "a/ñ"
    assert expert.folder_name == "expert-a-seed-3-abcdef01"
    parent = study_run(tmp_path)
    assert (parent.id, parent.name, parent.folder_name) == ("1234", "alps", "study")
    assert "mixwise.mixture" not in parent.tags


def test_a_store_is_the_recipes_the_environments_or_the_studys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    plain = Tracking(to=("mlflow",))
    assert plain.store(tmp_path, Path("/r")) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert plain.store(tmp_path, Path("/r")) == "http://host:5000"
    named = Tracking(to=("mlflow",), mlflow_uri="sqlite:///runs.db")
    assert named.store(tmp_path, Path("/r")) == "sqlite:////r/runs.db"
    absolute = Tracking(to=("mlflow",), mlflow_uri="sqlite:////a/runs.db")
    assert absolute.store(tmp_path, Path("/r")) == "sqlite:////a/runs.db"
