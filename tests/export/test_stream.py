from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.report.conftest import Parts

from mixwise.data.streams import NOT_LEARNED
from mixwise.export.stream import make_stream
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace


def workspace_of(pico: Path, *, more: str = "") -> Workspace:
    path = pico / "recipe.yaml"
    path.write_text(path.read_text() + more)
    study = StudyFolder.create(pico / "study", path)
    study.save_recipe(path.read_text())
    return Workspace(study, Settings(pico, pico / "tokens"))


@pytest.mark.parametrize("masks", [False, True])
def test_a_line_has_what_keeps_documents_apart_where_they_are(pico: Path, masks: bool) -> None:
    workspace = workspace_of(pico, more="document_masking: true\n" if masks else "")
    recommendation = Parts(("alpha", "beta", "gamma"), "slopes").recommendation()
    made = make_stream(recommendation, workspace)
    lines = [json.loads(line) for line in made.lines]
    workspace.close()
    assert ("document_masking" in made.facts) == masks
    assert len(lines) == 16
    for line in lines:
        assert set(line) == {"domain", "input_ids"} | (
            {"labels", "position_ids"} if masks else set()
        )
    if masks:
        positions = np.array([line["position_ids"] for line in lines])
        labels = np.array([line["labels"] for line in lines])
        assert (positions[:, 0] == 0).all()
        assert (positions[:, 1:] == 0).any()  # documents begin within rows
        assert ((labels == NOT_LEARNED) == (positions == 0)).all()


def test_a_run_is_another_where_documents_are_apart(pico: Path) -> None:
    together = workspace_of(pico)
    recipe = together.recipe.model_copy(update={"document_masking": True})
    apart = Workspace(together.study, together.inputs.settings, recipe=recipe)
    for workspace in (together, apart):
        workspace.close()
    jobs = [workspace.runs.expert_job("alpha") for workspace in (together, apart)]
    assert jobs[0].fingerprint != jobs[1].fingerprint
    assert jobs[0].streams["alpha"].ids == jobs[1].streams["alpha"].ids
    assert [job.streams["alpha"].lengths is None for job in jobs] == [True, False]
