"""`mixwise report` of several studies and `mixwise watch`, as they are called."""

import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import Cli
from tests.recipe.minimal import MINIMAL, dump

from mixwise.study.folder import StudyFolder

MakeStudy = Callable[..., Path]


@pytest.fixture
def study(make_study: MakeStudy) -> Path:
    return as_study(make_study())


def as_study(folder: Path) -> Path:
    """Let the folder be known as a study, as making one does; its ledger is not one of stages."""
    (folder / "ledger.sqlite").unlink()
    StudyFolder(folder, folder).save_recipe(dump(MINIMAL))
    return folder


def test_several_studies_stand_in_one_page(
    study: Path, make_study: MakeStudy, tmp_path: Path, mixwise: Cli, monkeypatch: Any
) -> None:
    other = as_study(make_study())
    monkeypatch.chdir(tmp_path)
    code, out, _ = mixwise("report", study, other, "--json")
    assert (code, json.loads(out)) == (0, {"report": "comparison.html"})
    page = (tmp_path / "comparison.html").read_text()
    assert "2 studies side by side" in page
    code, out, _ = mixwise("report", study, other, study, "--output", "named.html")
    assert (code, out) == (0, "Report: named.html\n")
    assert (
        tmp_path / "named.html"
    ).read_text() == page  # one that is named twice stands there once


def test_a_study_that_is_named_twice_is_one(study: Path, mixwise: Cli) -> None:
    code, out, _ = mixwise("report", study, study)
    assert (code, out) == (0, f"Report: {study / 'report.html'}\n")


def test_a_study_that_is_none_leaves_no_page(
    study: Path, tmp_path: Path, mixwise: Cli, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = mixwise("report", study, tmp_path / "none")
    assert code == 1
    assert "no study here" in err
    assert not (tmp_path / "comparison.html").exists()


@pytest.fixture
def watched(study: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`mixwise watch` in a process of its own, and its port."""
    command = [sys.executable, "-m", "mixwise", "watch", str(study)]
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # what is ignored is inherited
    try:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith(f"Watching {study} at http://127.0.0.1:"), process.stderr
        yield process, int(said.split(":")[2].partition("/")[0])
        process.kill()


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_watch_serves_the_page_alone_to_this_machine_alone_until_ctrl_c(
    watched: tuple[subprocess.Popen[str], int],
) -> None:
    process, port = watched
    status, page = ask(port, "/")
    assert status == 200
    assert "Train on 50 % math" in page
    assert "Stage" in " ".join(json.loads(ask(port, "/state.json")[1])["lines"])
    for path in ("/recipe.yaml", "/../recipe.yaml", "/%2e%2e/recipe.yaml", "//etc/passwd"):
        assert ask(port, path)[0] == 404
    assert ask(port, "/", Host="evil.example")[0] == 403
    for method in ("POST", "PUT", "DELETE"):
        assert ask(port, "/", method)[0] == 501
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in err


def test_a_port_that_is_taken_is_an_error_in_one_line(study: Path, mixwise: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = mixwise("watch", study, "--port", taken.getsockname()[1])
    assert code == 1
    assert "name another port" in err
    assert err.count("\n") == 1
