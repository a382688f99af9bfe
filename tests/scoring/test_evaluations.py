"""Whatever engine, cut, placement or store: the same models get the same scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.study.test_folder import make_study

from mixwise.engine.local import LocalEngine
from mixwise.engine.serial import HereEngine
from mixwise.mixture import Mixture
from mixwise.scorer import SLOPES, VALUES, Part, Request
from mixwise.scoring.evaluations import Evaluations
from mixwise.scoring.merged import MergedScorer
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace

NAMES = ("alpha", "beta", "gamma")
MIXTURES = (
    Mixture(NAMES, (0.5, 0.5, 0.0)),
    Mixture(NAMES, (0.2, 0.3, 0.5)),
    Mixture.single(NAMES, "gamma"),
)


def open_workspace(folder: Path, recipe: Path, **training: str) -> Workspace:
    text = recipe.read_text()
    for key, value in training.items():
        text = text.replace("training: {", f"training: {{{key}: {value}, ")
    changed = recipe.with_name("changed.yaml")
    changed.write_text(text)
    study = make_study(folder / "study", changed)
    return Workspace(study, Settings(study.recipe_folder, folder / "cache"))


@pytest.fixture(scope="module")
def workspace(pico_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("evaluations")
    recipe = folder / "recipe.yaml"
    base = (
        (pico_source / "recipe.yaml").read_text().replace("base: base", f"base: {pico_source}/base")
    )
    for name in (*NAMES, "mixed", "quiz"):
        base = base.replace(f"files: {name}.jsonl", f"files: {pico_source}/{name}.jsonl")
    recipe.write_text(base)
    opened = open_workspace(folder, recipe)
    opened.runs.train_experts()
    yield opened
    opened.close()


@pytest.fixture
def evaluations(workspace: Workspace) -> Evaluations:
    return replace(workspace.evaluations, merges=workspace.merges, slope_sets=("mixed", "alpha"))


def values(evaluations: Evaluations, request: Request = VALUES) -> dict[int, dict[str, float]]:
    return {
        index: {m.metric: m.value for m in evaluated.measurements}
        for index, evaluated in evaluations.run(MIXTURES, request)
    }


def same(one: dict[int, dict[str, float]], other: dict[int, dict[str, float]]) -> bool:
    return all(other[k] == pytest.approx(row, rel=1e-5) for k, row in one.items())


def test_two_workers_give_what_one_gives(evaluations: Evaluations) -> None:
    engine = LocalEngine(2, 1)
    try:
        assert same(values(evaluations), values(replace(evaluations, engine=engine)))
    finally:
        engine.close()


def test_layer_by_layer_gives_what_the_whole_model_gives(evaluations: Evaluations) -> None:
    model = replace(evaluations.model, placement="layers", memory_bytes=1 << 26)
    assert same(values(evaluations), values(replace(evaluations, model=model)))


def test_a_checkpoint_read_layer_by_layer_is_itself(
    evaluations: Evaluations, workspace: Workspace
) -> None:
    model = replace(evaluations.model, placement="layers", memory_bytes=1 << 26)
    expert = workspace.runs.expert("beta")
    [(_, whole)] = evaluations.run([expert], VALUES)
    [(_, layered)] = replace(evaluations, model=model).run([expert], VALUES)
    for one, other in zip(whole.measurements, layered.measurements, strict=True):
        assert other.value == pytest.approx(one.value, rel=1e-5)


@pytest.mark.parametrize(("precision", "most"), [("bfloat16", 0.02), ("int8", 0.02)])
def test_a_coarse_store_changes_scores_by_little_of_the_merges_effect(
    evaluations: Evaluations, workspace: Workspace, precision: str, most: float
) -> None:
    exact = values(evaluations)
    coarse = values(replace(evaluations, merges=replace(workspace.merges, precision=precision)))
    base = workspace.base_observation.values
    for k, row in exact.items():
        for metric, value in row.items():
            if metric.endswith(("loss", "bits_per_byte")):
                effect = abs(value - base[metric])
                assert abs(coarse[k][metric] - value) <= most * effect


def test_slopes_come_with_the_same_values_and_three_times_the_tokens(
    evaluations: Evaluations,
) -> None:
    plain = dict(evaluations.run(MIXTURES, VALUES))
    sloped = dict(evaluations.run(MIXTURES, SLOPES))
    for k, evaluated in sloped.items():
        assert evaluated.n_tokens > plain[k].n_tokens
        for one, other in zip(plain[k].measurements, evaluated.measurements, strict=True):
            assert other.value == pytest.approx(one.value, rel=1e-5)
            has_slopes = one.metric.startswith(("mixed/", "alpha/"))
            assert (other.derivatives is not None) == has_slopes


def test_slopes_are_those_of_finite_differences(evaluations: Evaluations) -> None:
    step = 0.02
    here = Mixture(NAMES, (0.3, 0.3, 0.4))
    up, down = (Mixture(NAMES, (0.3 + s, 0.3 - s, 0.4)) for s in (step, -step))
    [(_, middle)] = evaluations.run([here], SLOPES)
    found = dict(evaluations.run([up, down], VALUES))
    for k, measurement in enumerate(middle.measurements):
        if measurement.derivatives is not None:
            rise = found[0].measurements[k].value - found[1].measurements[k].value
            slopes = measurement.derivatives.slopes
            assert slopes[0] - slopes[1] == pytest.approx(rise / (2 * step), rel=0.02, abs=2e-4)


def test_a_part_and_the_rest_make_the_whole(workspace: Workspace) -> None:
    mixture = Mixture(NAMES, (0.6, 0.1, 0.3))
    proxy = MergedScorer(
        replace(workspace.evaluations, merges=workspace.merges), "linear", workspace.ledger
    )
    [first] = proxy.score([mixture], Request(part=Part(0, 1, 3)))
    [whole] = proxy.score([mixture])
    assert whole.tokens_evaluated == workspace.base_observation.tokens_evaluated
    assert first.tokens_evaluated < whole.tokens_evaluated
    [(_, again)] = replace(workspace.evaluations, merges=workspace.merges).run([mixture], VALUES)
    for one, other in zip(again.measurements, whole.measurements, strict=True):
        assert one.metric == other.metric
        np.testing.assert_allclose(other.examples, one.examples, rtol=1e-5)


def test_lora_candidates_that_share_a_job_score_as_alone(pico: Path, tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path, pico / "recipe.yaml", method="lora")
    workspace.runs.train_experts()
    try:
        evaluations = replace(workspace.evaluations, merges=workspace.merges)
        assert evaluations.group_size(VALUES) > 1
        together = values(evaluations)
        for k, mixture in enumerate(MIXTURES):
            [(_, alone)] = evaluations.run([mixture], VALUES)
            assert {m.metric: m.value for m in alone.measurements} == pytest.approx(
                together[k], rel=1e-5
            )
    finally:
        workspace.close()


def test_engines_are_closed_with_their_models(evaluations: Evaluations) -> None:
    engine = HereEngine()
    values(replace(evaluations, engine=engine))
    engine.close()
    assert values(replace(evaluations, engine=engine))
