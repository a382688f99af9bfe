from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from tests.command_line import Cli

from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.scorer import SLOPES, Part, Request
from mixwise.stages.status import _is_whole, _setting


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
    assert "Experts:     2 of 3 made" in out


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


def test_parts_of_a_race_are_no_candidates() -> None:
    whole = {"mixture": "a=1", "evaluation": "e"}
    for more, is_whole in (
        ({}, True),
        ({"request": str(SLOPES), "slopes of": "a"}, True),
        ({"part": "0:1:8"}, False),
        ({"request": str(Request(1, part=Part(0, 1, 8)))}, False),
    ):
        observation = Observation(
            mixture=Mixture(("a", "b"), (1.0, 0.0)),
            answer="proxy",
            rule="linear",
            seeds=(),
            measurements=(),
            seconds=0.0,
            tokens_trained=0,
            tokens_evaluated=0,
            fingerprint=str(more),
            provenance=whole | more,
        )
        assert _is_whole(observation) is is_whole, more
        assert _setting(observation) == {"evaluation": "e"}
