from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from tests.command_line import Cli


def test_status_says_how_far_a_study_is(finished: Path, tmp_path: Path, mixwise: Cli) -> None:
    code, out, err = mixwise("status", finished, "--json")
    assert code == 0, err
    content = json.loads(out)
    assert (content["stage"], content["process"]) == ("finished", None)
    assert content["experts"] == {"done": 3, "total": 3}
    n_references = len(list(finished.glob("references/*/run.json")))
    assert content["references"] == {"done": n_references, "total": 22}  # other tests train some
    candidates = json.loads((finished / "search.json").read_text())["candidates"]
    best = max(row["score"]["objective"] for row in candidates)
    assert content["best_so_far"]["objective"] >= best - 1e-12
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    (study / "experts" / "beta" / "run.json").unlink()
    shutil.rmtree(study / "references")
    code, out, _ = mixwise("status", study)
    assert code == 0
    assert "no process works in it" in out
    assert "Stage:       experts" in out
    assert "Experts:     2 of 3 trained" in out


def test_a_study_that_has_just_begun_says_so(tmp_path: Path, mixwise: Cli) -> None:
    from mixwise.study.folder import StudyFolder

    study = StudyFolder(tmp_path, tmp_path)
    with study.lock():
        for command in ("report", "export", "status", "search"):
            code, _, err = mixwise(command, tmp_path)
            assert code == 1
            assert f"a run has just begun here (process {os.getpid()})" in err
    code, _, err = mixwise("status", tmp_path)
    assert code == 1
    assert "ended before its recipe was checked" in err
