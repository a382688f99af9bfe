"""Shares of learned tokens and of rows, from the recipe to the run and to what is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import write_rows

from mixwise.mixture import Mixture
from mixwise.recipe import load_recipe
from mixwise.stages.check import run_check
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Inputs, Settings
from mixwise.study.session import Workspace
from mixwise.study.token_needs import unmet_token_needs

NAMES = ("alpha", "beta", "gamma")
UNIFORM = Mixture.uniform(NAMES)
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def taught(pico: Path) -> Path:
    """The pico folder; a part of each row of one domain is read only."""
    rows = [json.loads(line)["text"] for line in (pico / "alpha.jsonl").read_text().splitlines()]
    pairs = [{"prompt": text[:-12], "completion": text[-12:]} for text in rows]
    write_rows(pico / "alpha.jsonl", pairs)
    return pico


def counting(folder: Path, unit: str, *, more: str = "") -> Workspace:
    """A study of which shares count a unit."""
    path = folder / f"{unit}.yaml"
    path.write_text(f"{(folder / 'recipe.yaml').read_text()}shares_by: {unit}\n{more}")
    study = StudyFolder.create(folder / f"study-{unit}", path)
    study.save_recipe(path.read_text())
    workspace = Workspace(study, Settings(folder, folder / "tokens"))
    workspace.close()
    return workspace


def learned_part(workspace: Workspace, name: str) -> float:
    facts = workspace.inputs.corpus(name).facts
    return facts.n_learned_train_tokens / facts.n_train_tokens


def test_runs_read_more_tokens_of_what_is_learned_less(taught: Path) -> None:
    workspace = counting(taught, "supervised_tokens")
    job = workspace.runs.job(UNIFORM, 1)
    assert job.mixture == UNIFORM
    alpha, beta, gamma = job.token_mixture.shares
    assert 0.05 < learned_part(workspace, "alpha") < 0.95
    assert alpha * learned_part(workspace, "alpha") == pytest.approx(beta, rel=1e-6)
    assert beta == pytest.approx(gamma, rel=1e-6)
    read = dict(zip(NAMES, job.blend().counts, strict=True))
    assert read == pytest.approx({n: 16 * s for n, s in job.token_mixture.as_dict().items()}, abs=1)


def test_rows_are_counted_without_their_length(taught: Path) -> None:
    workspace = counting(taught, "rows")
    counts = workspace.inputs.available_by_unit["rows"]
    assert counts == dict.fromkeys(NAMES, 54)
    by_tokens = workspace.runs.job(UNIFORM, 1).token_mixture
    available = Mixture.proportional(workspace.inputs.available_tokens)
    assert by_tokens.array == pytest.approx(available.array, abs=1e-8)


def test_a_run_is_what_it_reads_whatever_its_shares_count(taught: Path) -> None:
    tokens, rows = counting(taught, "tokens"), counting(taught, "rows")
    by_rows = rows.runs.job(UNIFORM, 1)
    by_tokens = tokens.runs.job(by_rows.token_mixture, 1)
    assert by_rows.fingerprint == by_tokens.fingerprint
    assert by_rows.fingerprint != tokens.runs.job(UNIFORM, 1).fingerprint
    assert by_tokens.token_shares is None
    for name in NAMES:
        assert rows.runs.expert_job(name).fingerprint == tokens.runs.expert_job(name).fingerprint


def test_the_limit_of_repetition_holds_in_every_mixture(taught: Path) -> None:
    more = "search: {max_repetition: 0.11}\nexperts: {horizon_tokens: 64}\n"
    workspace = counting(taught, "supervised_tokens", more=more)
    inputs, space = workspace.inputs, workspace.inputs.space
    assert max(space.upper) < 1
    for k, name in enumerate(NAMES):
        for other in set(NAMES) - {name}:
            most = dict.fromkeys(NAMES, 0.0) | {name: space.upper[k], other: 1 - space.upper[k]}
            share = inputs.token_mixture(Mixture(NAMES, tuple(most.values()))).as_dict()[name]
            run = share * inputs.recipe.run_tokens
            assert run <= 0.11 * inputs.available_tokens[name] * (1 + 1e-6)


def test_other_units_are_told_only_where_they_differ(taught: Path, pico_source: Path) -> None:
    plain = Inputs(load_recipe(pico_source / "recipe.yaml"), Settings(pico_source, taught / "t"))
    assert plain.by_other_units(UNIFORM) == {}
    told = counting(taught, "tokens").inputs.by_other_units(UNIFORM)
    assert set(told) == {"supervised_tokens", "rows"}
    assert told["supervised_tokens"].shares[0] < 0.3
    assert set(counting(taught, "rows").inputs.by_other_units(UNIFORM)) == {
        "tokens",
        "supervised_tokens",
    }


def test_check_says_what_equal_shares_are_and_warns_where_they_still_weigh_otherwise(
    taught: Path,
) -> None:
    found = {}
    for unit in ("tokens", "supervised_tokens"):
        checked = run_check(counting(taught, unit).inputs, taught / "study")
        found[unit] = " ".join(checked.notes), " ".join(checked.warnings)
    notes, warnings = found["supervised_tokens"]
    assert "equal shares are " in notes
    assert "by all tokens, which horizons and prices count" in notes
    assert "shares count learned tokens" in notes
    assert "of the tokens of" not in warnings
    notes, warnings = found["tokens"]
    assert "equal shares are " not in notes
    assert "shares count all tokens" in notes
    assert "% of the tokens of `beta` are learned" in warnings


def test_a_recipe_that_counts_what_a_domain_has_none_of_is_refused(
    taught: Path, mixwise: Cli
) -> None:
    workspace = counting(taught, "supervised_tokens")
    facts = {name: workspace.inputs.corpus(name).facts for name in NAMES}
    assert not workspace.inputs.problems()
    facts["alpha"] = replace(facts["alpha"], n_supervised_train_tokens=0)
    [line] = unmet_token_needs(workspace.recipe, facts, expert_tokens=64)
    assert line.startswith(
        "`shares_by: supervised_tokens`: no training token of `domains.alpha` is learned"
    )
    (taught / "recipe.yaml").write_text((taught / "recipe.yaml").read_text() + "shares_by: words\n")
    code, _, err = mixwise("check", taught / "recipe.yaml")
    assert code == 1
    assert "shares_by" in err


def test_the_answer_says_its_unit_and_the_others(taught: Path, mixwise: Cli) -> None:
    path = taught / "learned.yaml"
    text = (taught / "recipe.yaml").read_text()
    for old, new in (
        ("verify: true\n", ""),
        ("validation: {mixtures: 4, seeds: 2}\n", "final: {train: false}\n"),
        ("calibration: {mixtures: 2, seeds: 1}\n", "calibration: {mixtures: 1, seeds: 1}\n"),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text + "shares_by: supervised_tokens\n")
    study = taught / "study"
    code, out, err = mixwise("run", path, "--study", study)
    assert code == 0, err
    words = " ".join(out.split())
    assert "by learned tokens" in words
    assert "Shares by learned tokens (beside them by all tokens and by rows of data)" in words
    found = json.loads((study / "recommendation.json").read_text())
    assert found["shares_by"] == "supervised_tokens"
    page = (study / "report.html").read_text()
    assert "Share, by learned tokens" in page
    assert "The same mixture is" in page
    code, out, _ = mixwise("export", study, "--json")
    facts = json.loads(out)
    assert (facts["shares_by"], facts["recommended_by"]) == ("tokens", "supervised_tokens")
    assert facts["shares"] == found["by_other_units"]["tokens"]
    assert facts["shares_by_unit"]["supervised_tokens"] == found["mixture"]
    code, out, _ = mixwise("export", study, "--format", "stream", "--json")
    stream = json.loads(out)
    assert stream["tokens"] == facts["tokens"]
    assert stream["shares"] == facts["shares"]
