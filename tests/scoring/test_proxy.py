from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.scoring.mixtures import HALF, NAMES
from tests.study.test_folder import make_study

from mixwise.errors import DamagedError, MixwiseWarning, RecipeError
from mixwise.extrapolation import NOT_CONTINUED
from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.recipe.sections import Proxy
from mixwise.scorer import SLOPES, Part, Request
from mixwise.scoring import predictions
from mixwise.scoring.weighing import LONGER_STEPS
from mixwise.stages.verify import verify_study
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace

THIRD = Mixture.uniform(NAMES)
CORNERS = [Mixture.single(NAMES, name) for name in NAMES]


def open_short(pico: Path, tmp_path: Path, proxy: str = "{answer: both}") -> Workspace:
    """Experts of eight steps for a final run of sixteen, merged after three, five and eight."""
    text = (pico / "recipe.yaml").read_text()
    for old, new in (
        ("horizon_tokens: 256\nseq", "horizon_tokens: 1024\nseq"),
        ("budget: 100", "experts: {horizon_tokens: 512}"),
        ("proxy: {answer: merged}", f"proxy: {proxy}"),
    ):
        assert old in text
        text = text.replace(old, new)
    (pico / "recipe.yaml").write_text(text)
    study = make_study(tmp_path / "study", pico / "recipe.yaml")
    return Workspace(study, Settings(study.recipe_folder, tmp_path / "cache"))


@pytest.fixture(scope="module")
def trained(pico_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose study has its experts and no score."""
    folder = tmp_path_factory.mktemp("short")
    pico = Path(shutil.copytree(pico_source, folder / "source"))
    workspace = open_short(pico, folder)
    workspace.runs.train_experts()
    workspace.close()
    return folder


@pytest.fixture(scope="module")
def short(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """For tests that only ask; what one has measured the next finds."""
    yield from opened(Path(shutil.copytree(trained, tmp_path_factory.mktemp("asked") / "short")))


@pytest.fixture
def own(trained: Path, tmp_path: Path) -> Iterator[Workspace]:
    """For a test that changes files, or counts what is measured."""
    yield from opened(Path(shutil.copytree(trained, tmp_path / "short")))


def opened(folder: Path) -> Iterator[Workspace]:
    study = StudyFolder.open(folder / "study")
    workspace = Workspace(study, Settings(folder / "source", folder / "cache"))
    yield workspace
    workspace.close()


def test_losses_are_continued_and_answers_averaged(short: Workspace) -> None:
    proxy = short.proxy
    [found] = proxy.score([HALF])
    assert [(p.means, p.steps, p.coefficient) for p in proxy.parts] == [
        *((means, steps, 1.0) for means in ("merged", "predictions") for steps in (3, 5, 8)),
        *(("predictions", 8, c) for c in LONGER_STEPS),
    ]
    values = [part.scorer.score([HALF])[0].values for part in proxy.parts]
    for name in ("alpha/loss", "mixed/loss", "beta/loss"):
        weighing = proxy.weighings[name]
        known = [by_part.get(name, 0.0) for by_part in values]  # longer steps: the objective alone
        assert "beta/loss" not in values[-1]
        expected = weighing.weights @ known + weighing.shift
        assert found.values[name] == pytest.approx(expected)
        assert weighing.weights[:3].sum() == pytest.approx(0.5)
    assert found.values["quiz/accuracy"] == values[2]["quiz/accuracy"]
    assert found.rule == "linear and predictions"


def test_predictions_answer_for_losses_where_experts_are_short(pico: Path, tmp_path: Path) -> None:
    workspace = open_short(pico, tmp_path, "{answer: auto}")
    workspace.runs.train_experts()
    assert workspace.answers.means == ("predictions",)
    n = len(workspace.ledger.observations("proxy"))
    [found] = workspace.proxy.score([HALF], SLOPES)
    assert found.rule == "predictions"
    assert len(workspace.ledger.observations("proxy")) == n  # nothing was merged
    workspace.close()


def test_what_an_objective_asks_of_answers_is_merged(pico: Path, tmp_path: Path) -> None:
    text = (pico / "recipe.yaml").read_text()
    old, new = "{set: alpha, measure: loss}", "{set: quiz, measure: accuracy}"
    assert old in text
    (pico / "recipe.yaml").write_text(text.replace(old, new))
    workspace = open_short(pico, tmp_path, "{answer: auto}")
    workspace.runs.train_experts()
    assert workspace.answers.means == ("merged", "predictions")
    parts = {(p.means, p.steps): p.scorer for p in workspace.proxy.parts if p.coefficient == 1}
    assert set(parts) == {("merged", 8), *(("predictions", s) for s in (3, 5, 8))}
    assert len(workspace.proxy.parts) == len(parts) + len(LONGER_STEPS)
    [found] = workspace.proxy.score([HALF], SLOPES)
    [merged] = parts["merged", 8].score([HALF])
    assert found.values["quiz/accuracy"] == merged.values["quiz/accuracy"]
    assert found.values["mixed/loss"] != merged.values["mixed/loss"]
    assert found.measurement("mixed/loss").derivatives is not None
    workspace.close()


def test_experts_as_long_as_the_final_run_are_merged(workspace: Workspace) -> None:
    recipe = workspace.recipe.model_copy(update={"proxy": Proxy()})
    other = Workspace(workspace.study, workspace.inputs.settings, recipe=recipe, read_only=True)
    assert other.answers.means == ("merged",)
    other.close()


def test_slopes_are_those_of_the_continued_losses(short: Workspace) -> None:
    step = 1e-3
    [found] = short.proxy.score([THIRD], SLOPES)
    derivatives = found.measurement("mixed/loss").derivatives
    assert derivatives is not None
    along = np.array([1.0, -1.0, 0.0])
    ends = [Mixture(NAMES, tuple((THIRD.array + s * step * along).tolist())) for s in (-1, 1)]
    low, high = (o.values["mixed/loss"] for o in short.proxy.score(ends))
    assert derivatives.slopes @ along == pytest.approx((high - low) / (2 * step), rel=0.02)


def test_parts_of_the_examples_add_up_to_the_whole(short: Workspace) -> None:
    [whole] = short.proxy.score([HALF])
    pieces = [short.proxy.score([HALF], Request(part=Part(k, k + 1, 2)))[0] for k in (0, 1)]
    metric = "mixed/loss"
    examples = [piece.measurement(metric) for piece in pieces]
    total = np.average(
        np.concatenate([one.examples for one in examples]),
        weights=np.concatenate([one.example_weights for one in examples]),
    )
    assert total == pytest.approx(whole.values[metric], abs=1e-6)


def test_a_point_by_itself_is_not_continued(short: Workspace) -> None:
    merged, averaged = (
        p.scorer.score([HALF])[0].values["mixed/loss"] for p in short.proxy.parts if p.steps == 5
    )
    [found] = short.proxy.at(5).score([HALF])
    assert found.values["mixed/loss"] == pytest.approx((merged + averaged) / 2)
    assert short.proxy.points == (5, 8)


def test_continuing_has_a_deviation_and_a_single_point_none(short: Workspace) -> None:
    error = short.proxy.error(short.objective, short.scale)
    assert error.single > 0
    assert error.level > 0
    assert short.proxy.at(8).error(short.objective, short.scale) == NOT_CONTINUED


def test_the_listener_is_told_each_whole_observation(own: Workspace) -> None:
    told: list[Observation] = []
    with own.proxy.told_to(lambda observation, request: told.append(observation)):
        own.proxy.score([HALF, THIRD])
    assert [str(o.mixture) for o in told] == [str(HALF), str(THIRD)]
    assert {o.rule for o in told} == {"linear and predictions"}


def test_an_expert_alone_predicts_what_it_is_measured_to(short: Workspace) -> None:
    by_part = {(p.means, p.steps): p.scorer for p in short.proxy.parts if p.coefficient == 1}
    for merged, averaged in zip(
        by_part["merged", 8].score(CORNERS), by_part["predictions", 8].score(CORNERS), strict=True
    ):
        for measurement in averaged.measurements:
            expected = merged.measurement(measurement.metric).examples
            assert measurement.examples == pytest.approx(expected, abs=1e-5)


def test_derivatives_of_predictions_are_right(short: Workspace) -> None:
    [scorer, *_] = [p.scorer for p in short.proxy.parts if (p.means, p.steps) == ("predictions", 8)]
    step = 1e-4
    request = Request(order=2, per_example=True)
    found = scorer.score([THIRD], request)[0].measurement("mixed/loss").derivatives
    assert found is not None
    assert found.hessian is not None
    for i in range(len(NAMES)):
        moved = [
            replace(THIRD, shares=tuple((THIRD.array + s * step * (np.eye(3)[i] - 1 / 3)).tolist()))
            for s in (-1, 1)
        ]
        low, high = (o.measurement("mixed/loss") for o in scorer.score(moved, request))
        along = np.eye(3)[i] - 1 / 3
        assert found.slopes @ along == pytest.approx(
            (high.value - low.value) / (2 * step), rel=1e-3
        )
        assert low.derivatives is not None
        assert high.derivatives is not None
        bent = (high.derivatives.slopes - low.derivatives.slopes) / (2 * step)
        assert found.hessian @ along == pytest.approx(bent, rel=1e-2, abs=1e-4)


@pytest.mark.parametrize(
    "request_", [Request(order=2, per_example=True), Request(part=Part(1, 2, 3))]
)
def test_predictions_are_the_same_however_many_rows_are_read_at_once(
    short: Workspace, monkeypatch: pytest.MonkeyPatch, request_: Request
) -> None:
    scorer = next(p.scorer for p in short.proxy.parts if p.means == "predictions")
    [whole] = scorer.score([THIRD], request_)
    monkeypatch.setattr(predictions, "_PIECE", 100)
    [pieces] = scorer.score([THIRD], request_)
    for one, other in zip(whole.measurements, pieces.measurements, strict=True):
        assert other.examples == pytest.approx(one.examples, rel=1e-12)
        if one.derivatives is not None:
            assert other.derivatives is not None
            for name in ("slopes", "hessian", "example_slopes", "example_hessians"):
                expected = getattr(one.derivatives, name)
                assert getattr(other.derivatives, name) == pytest.approx(expected, rel=1e-9)


def test_predictions_are_kept_and_a_damaged_file_is_read_anew(
    own: Workspace, tmp_path: Path
) -> None:
    [first] = own.proxy.score([HALF])
    files = sorted(own.study.predictions_folder.glob("*.safetensors"))
    n_steps = len(files) / 3 - 3  # three experts at three points, and longer steps of the last
    assert n_steps in range(1, len(LONGER_STEPS) + 1)
    content = bytearray(files[0].read_bytes())
    content[-1] ^= 1
    files[0].write_bytes(content)
    own.close()
    found = {row.what: row.state for row in verify_study(own.study, own.inputs.settings)}
    assert found[f"predictions/{files[0].name}"] == "wrong"
    assert found[f"predictions/{files[1].name}"] == "right"
    again = Workspace(own.study, Settings(own.study.recipe_folder, tmp_path / "cache"))
    with pytest.warns(MixwiseWarning, match="is not what was written: the predictions are read"):
        [second] = again.proxy.score([HALF])
    assert second.values == first.values
    again.close()


def test_a_checkpoint_along_a_run_that_is_gone_is_named(own: Workspace) -> None:
    folder = own.study.expert_folder("beta") / "trajectory" / "5"
    folder.rename(folder.with_name("away"))
    with pytest.raises(DamagedError, match=r"beta/trajectory/5/config\.json: is missing"):
        own.proxy.score([HALF])


def test_predictions_alone_need_likelihoods_alone(pico: Path, tmp_path: Path) -> None:
    recipe = (pico / "recipe.yaml").read_text()
    quiz = "quiz: {files: quiz.jsonl, kind: choice}"
    assert quiz in recipe
    said = f"{quiz}\n    said: {{files: mixed.jsonl, kind: greedy}}"
    (pico / "recipe.yaml").write_text(recipe.replace(quiz, said))
    workspace = open_short(pico, tmp_path, "{answer: predictions}")
    with pytest.raises(RecipeError, match=r"`proxy\.answer` is `predictions`, which know"):
        _ = workspace.answers
    workspace.close()
