from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.command_line import RUN, Cli, hearing, recommended_bytes, replace
from transformers import AutoModelForCausalLM


def test_usage_error_exits_with_two(mixwise: Cli) -> None:
    assert mixwise("score")[0] == 2
    assert mixwise("nonsense")[0] == 2


def test_commands_on_no_study_say_so(tmp_path: Path, mixwise: Cli) -> None:
    code, out, err = mixwise("search", tmp_path, "--json")
    assert code == 1
    assert "no study here" in err
    assert json.loads(out)["error"] == "StudyError"


def test_init_writes_a_recipe_over_the_files_it_finds(pico: Path, mixwise: Cli) -> None:
    from mixwise.recipe import load_recipe

    (pico / "recipe.yaml").unlink()
    assert mixwise("init", pico)[0] == 0
    recipe = load_recipe(pico / "recipe.yaml")
    assert recipe.base == "base"
    assert {"alpha", "beta", "gamma"} <= set(recipe.domains)
    code, _, err = mixwise("init", pico)
    assert code == 1
    assert "exists already" in err


def test_proxy_score_equals_a_plain_script(finished: Path, mixwise: Cli) -> None:
    shares = {"alpha": 0.5, "beta": 0.2, "gamma": 0.3}
    text = ",".join(f"{name}={share}" for name, share in shares.items())
    code, out, _ = mixwise("score", finished, "--mixture", text, "--json")
    assert code == 0
    [score] = json.loads(out)
    model = AutoModelForCausalLM.from_pretrained(finished / "experts" / "alpha")
    states = {
        name: AutoModelForCausalLM.from_pretrained(finished / "experts" / name).state_dict()
        for name in shares
    }
    model.load_state_dict(
        {key: sum(shares[n] * states[n][key] for n in shares) for key in model.state_dict()}
    )
    for name in (*shares, "mixed"):
        ids = torch.from_numpy(np.load(finished / "heldout" / f"{name}.npy").astype(np.int64))
        with torch.no_grad():
            loss = float(model.eval()(input_ids=ids, labels=ids).loss)
        assert score["metrics"][f"{name}/loss"] == pytest.approx(loss, abs=1e-5)


def test_corner_score_is_the_experts_own(finished: Path, mixwise: Cli) -> None:
    code, out, _ = mixwise("score", finished, "--mixture", "beta=1", "--json")
    assert code == 0
    model = AutoModelForCausalLM.from_pretrained(finished / "experts" / "beta").eval()
    from mixwise.evaluation.likelihood.rows import Row, batch_nats, make_batches

    ids = np.load(finished / "heldout" / "mixed.npy").astype(np.int64)
    rows = [Row.ending_in(row, n_scored=len(row) - 1) for row in ids]
    with torch.no_grad():
        nats = sum(float(batch_nats(model, b).sum()) for b in make_batches(rows, 4, "cpu"))
    own = nats / (ids.shape[0] * (ids.shape[1] - 1))
    assert json.loads(out)[0]["metrics"]["mixed/loss"] == pytest.approx(own, abs=1e-12)


def test_verify_names_what_is_wrong_and_exits_with_1(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    code, out, _ = mixwise("verify", study)
    assert code == 0, out
    assert " wrong" not in out
    (study / "experts" / "alpha" / "config.json").write_text("{}")
    code, out, _ = mixwise("verify", study, "--json")
    assert code == 1
    [wrong] = [row for row in json.loads(out)["findings"] if row["state"] == "wrong"]
    assert "config.json: is not the file that was trained" in wrong["advice"]


def test_score_tells_slopes_and_curvature(finished: Path, mixwise: Cli) -> None:
    arguments = ["score", finished, "--mixture", "alpha=0.5,beta=0.5", "--derivatives", "hessian"]
    code, out, err = mixwise(*arguments, "--per-example", "--json")
    assert code == 0, err
    [score] = json.loads(out)
    assert "quiz/accuracy" not in score["slopes"]
    for metric, slopes in score["slopes"].items():
        assert np.shape(slopes) == (3,), metric
        assert np.shape(score["hessian"][metric]) == (3, 3)
        per_example = np.array(score["example_slopes"][metric])
        assert per_example.shape[1] == 3
        assert np.shape(score["example_hessians"][metric]) == (len(per_example), 3, 3)
    code, out, _ = mixwise(*arguments)
    assert "per share: alpha" in out


def test_slopes_of_a_reference_are_refused(finished: Path, mixwise: Cli) -> None:
    arguments = ["score", finished, "--mixture", "alpha=1", "--derivatives", "slopes"]
    code, _, err = mixwise(*arguments, "--answer", "reference")
    assert code == 1
    assert "a trained model has no slopes" in err


def test_reference_score_trains_with_every_seed(finished: Path, mixwise: Cli) -> None:
    arguments = ["score", finished, "--mixture", "alpha=0.5,beta=0.5", "--answer", "reference"]
    code, out, _ = mixwise(*arguments, "--json")
    assert code == 0
    assert json.loads(out)[0]["seeds"] == [1, 2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alpha=0.5,delta=0.5", "`delta` is not a domain"),
        ("alpha=0.5,beta=0.4", "add up to 0.9"),
        ("alpha=x", "must be a number"),
    ],
)
def test_bad_mixtures_are_refused(text: str, expected: str, finished: Path, mixwise: Cli) -> None:
    code, _, err = mixwise("score", finished, "--mixture", text)
    assert code == 1
    assert expected in err


def test_stages_one_by_one_give_the_same_as_run(
    finished: Path, pico_source: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    for name in ("recommendation.json", "search.json", "validation.json", "final.json"):
        (study / name).unlink()
    for stage in ("experts", "search", "validate", "train"):
        code, _, err = mixwise(stage, study)
        assert code == 0, err
    assert recommended_bytes(study) == recommended_bytes(finished)


def test_diagnose_prints_geometry_causes_and_trust(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    code, out, _ = mixwise("diagnose", study)
    assert code == 0
    for part in ("Task vectors", "The same by block", "Predicted causes", "Trust:", "Because:"):
        assert part in out
    assert mixwise("report", study)[0] == 0
    assert "not diagnosed yet" not in (study / "report.html").read_text()
    assert "not diagnosed yet" in (finished / "report.html").read_text()


def test_diagnose_shows_task_vectors(finished: Path, mixwise: Cli) -> None:
    code, out, _ = mixwise("diagnose", finished, "--json")
    geometry = json.loads(out)["geometry"]
    assert code == 0
    assert all(size > 0 for size in geometry["relative_sizes"])
    assert [row[i] for i, row in enumerate(geometry["cosines"])] == pytest.approx([1, 1, 1])


def test_diagnose_tells_what_precision_costs(finished: Path, mixwise: Cli) -> None:
    code, out, _ = mixwise("diagnose", finished, "--json")
    precision = json.loads(out)["precision"]
    assert code == 0
    assert [stored["domain"] for stored in precision["stored"]] == ["alpha", "beta", "gamma"]
    assert all(stored["relative_error"] < 1e-6 for stored in precision["stored"])
    for metric in ("mixed/loss", "alpha/bits_per_byte"):
        score = precision["scores"][metric]
        assert abs(score["error"]) < 1e-4 * abs(score["effect"])
    code, out, _ = mixwise("diagnose", finished)
    assert "float32" in out
    assert "of its effect" in out


def test_a_changed_configuration_changes_the_fingerprint_of_the_base(pico: Path) -> None:
    from mixwise.models.checkpoint import open_checkpoint

    before = open_checkpoint(pico / "base").fingerprint
    config = pico / "base" / "config.json"
    config.write_text(config.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 0.5'))
    assert open_checkpoint(pico / "base").fingerprint != before


def test_second_process_on_one_study_is_refused(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    from mixwise.study.folder import StudyFolder

    study = Path(shutil.copytree(finished, tmp_path / "study"))
    with StudyFolder.open(study).lock():
        code, _, err = mixwise("search", study)
    assert code == 1
    assert "another mixwise" in err


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_study_is_read_while_another_process_works_in_it(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    from mixwise.study.folder import StudyFolder

    study = Path(shutil.copytree(finished, tmp_path / "study"))
    corner = json.loads(mixwise("score", study, "--mixture", "alpha=1", "--json")[1])
    writing = StudyFolder.open(study).open_ledger()  # its write-ahead log lies beside it
    with StudyFolder.open(study).lock():
        before = _files(study)
        code, out, err = mixwise("status", study, "--json")
        assert code == 0, err
        assert json.loads(out)["process"] == str(os.getpid())
        code, out, err = mixwise("score", study, "--mixture", "alpha=1", "--json")
        assert (code, json.loads(out)) == (0, corner), err
        assert _files(study) == before
        assert mixwise("report", study)[0] == 0
        assert mixwise("export", study)[0] == 0
        assert mixwise("export", study, "--format", "stream")[0] == 0
        code, _, err = mixwise("score", study, "--mixture", "alpha=0.9,beta=0.1")
        assert code == 1
        assert "another mixwise" in err
        assert "the scores are not all known yet" in err
    writing.close()


def test_a_study_is_read_where_nothing_can_be_written(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    with _mounted_read_only(study):
        assert mixwise("status", study)[0] == 0
        code, _, err = mixwise("score", study, "--mixture", "alpha=1", "--json")
        assert code == 0, err
        for command in ("report", "export"):
            code, _, err = mixwise(command, study)
            assert code == 1
            assert "Read-only file system" in err
            assert "--output" in err
            assert mixwise(command, study, "--output", tmp_path / command)[0] == 0
            assert (tmp_path / command).stat().st_size > 100
        code, _, err = mixwise("score", study, "--mixture", "alpha=0.9,beta=0.1")
        assert code == 1
        assert "the scores are not all known yet" in err


@contextmanager
def _mounted_read_only(folder: Path) -> Iterator[None]:
    """The superuser writes whatever the permissions; only a mount keeps it from that."""
    bind = subprocess.run(["mount", "--bind", folder, folder], capture_output=True, check=False)
    if bind.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_study_that_the_disk_cannot_hold_is_refused(
    pico: Path, mixwise: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(pico)._replace(free=1000)
    monkeypatch.setattr("mixwise.stages.check.shutil.disk_usage", lambda place: full)
    code, _, err = mixwise("check", pico / "recipe.yaml")
    assert code == 1
    assert "the study needs" in err
    assert "but 0.00 GB are free" in err


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_leaves_a_snapshot_and_says_how_to_resume(
    number: signal.Signals, pico: Path, tmp_path: Path
) -> None:
    """In the middle of a run that would go on for minutes."""
    long = "horizon_tokens: 256000\nsearch: {max_repetition: 1000}"
    replace("horizon_tokens: 256", long)(pico)
    command = [*RUN, str(pico / "recipe.yaml"), "--study", str(tmp_path / "study"), "--json"]
    pipe = subprocess.PIPE
    with (
        hearing(number),
        subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process,
    ):
        _wait_for(lambda: list(tmp_path.glob("study/experts/*/.training")))
        time.sleep(1)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert "run the same command again: mixwise run" in err
    assert "Traceback" not in err
    assert json.loads(out)["error"] == "stopped"
    assert not list(tmp_path.glob("study/experts/*/run.json"))
    assert list(tmp_path.glob("study/experts/alpha/.training/checkpoint-*/COMPLETE"))


def _wait_for(condition: Callable[[], Any]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("waited for two minutes in vain")
