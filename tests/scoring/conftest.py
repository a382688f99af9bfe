from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.study.test_folder import make_study

from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace


@pytest.fixture(scope="module")
def workspace(pico_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("scoring")
    study = make_study(folder / "study", pico_source / "recipe.yaml")
    workspace = Workspace(study, Settings(study.recipe_folder, folder / "cache"))
    workspace.runs.train_experts()
    yield workspace
    workspace.close()
