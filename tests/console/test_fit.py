from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.command_line import Cli


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    lines = ["run,math,web,dev/loss"]
    for k, shares in enumerate(rng.dirichlet(np.ones(2), 12).round(3)):
        loss = 2 + abs(shares[0] - 0.7) + 0.01 * rng.standard_normal()
        lines.append(f"{k},{shares[0]},{1 - shares[0]:.4f},{loss:.4f}")
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_runs_are_fitted_and_the_answer_is_printed(runs: Path, mixwise: Cli) -> None:
    code, out, _ = mixwise("fit", str(runs), "--metric", "dev/loss", "--max-share", "web=0.9")
    assert code == 0
    assert "Train on" in out
    assert "12 runs of 12 mixtures" in out
    assert "Train next: math " in out
    assert f"{runs}:" in out, "runs are named by their place"


def test_what_leaving_a_prior_takes_off_is_said_wherever_it_is_taken(
    runs: Path, tmp_path: Path, mixwise: Cli
) -> None:
    limits, page = tmp_path / "limits.yaml", tmp_path / "fit.html"
    limits.write_text("prior: {shares: uniform, weight: 0.01}\n")
    given = ("--metric", "dev/loss", "--limits", str(limits), "--report", str(page))
    _, out, _ = mixwise("fit", str(runs), *given)
    assert "less what leaving the prior takes off each." in " ".join(out.split())
    assert "less what leaving the prior takes off each." in page.read_text()
    _, out, _ = mixwise("fit", str(runs), "--metric", "dev/loss")
    assert "prior" not in out


def test_the_same_as_json(runs: Path, mixwise: Cli) -> None:
    _, out, _ = mixwise("fit", str(runs), "--metric", "dev/loss:min", "--json")
    found = json.loads(out)
    assert set(found["mixture"]) == {"math", "web"}
    assert found["n_runs"] == 12
    assert found["metrics"]["dev/loss"]["direction"] == "min"


def test_a_page_is_written_where_it_is_asked_for(runs: Path, tmp_path: Path, mixwise: Cli) -> None:
    page = tmp_path / "fit.html"
    code, out, _ = mixwise("fit", str(runs), "--metric", "dev/loss", "--report", str(page))
    assert code == 0
    assert f"Report: {page}" in out
    assert "What to train next" in page.read_text()


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        ("maths=0.2", "`maths` is not a domain: did you mean `math`"),
        ("math=some", "the share must be a number: write `math=0.3`"),
    ],
)
def test_bad_options_are_errors_of_one_line(
    bound: str, text: str, runs: Path, mixwise: Cli
) -> None:
    code, _, err = mixwise("fit", str(runs), "--metric", "dev/loss", "--min-share", bound)
    assert code == 1
    assert text in err
