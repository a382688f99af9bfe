"""Image classification held against a plain script: scores, merges, batch norm, slopes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.metrics import f1_score
from tests.images import (
    COLOURS,
    RECIPE,
    save_image_base,
    save_processor,
    train_expert,
    write_folders,
)

from mixwise.diagnostics.units.layers import find_classifier_layers, find_mlp_layers
from mixwise.diagnostics.units.silencing import classes, measure_units
from mixwise.errors import DataError, MixwiseError, RecipeError
from mixwise.mixture import Mixture
from mixwise.models.live_model import LiveModel
from mixwise.recipe import parse_recipe
from mixwise.scorer import VALUES, Request
from mixwise.stages.check import require_inputs
from mixwise.stages.diagnose import run_diagnosis
from mixwise.stages.timing import measure_steps
from mixwise.stages.units import UnitSettings, measure_study_units
from mixwise.study.batch_norm import statistics_data
from mixwise.study.data_review import review_data
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Inputs, Settings
from mixwise.study.proxy_parts import make_predictions
from mixwise.study.run_fingerprint import run_fingerprint
from mixwise.study.session import Workspace

NAMES = tuple(COLOURS)
MIXED = Mixture(NAMES, (0.5, 0.25, 0.25))
ARCHITECTURES = ("resnet", "convnext", "vit")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawings")
    write_folders(folder)
    return folder


@pytest.fixture(scope="module", params=ARCHITECTURES)
def job(
    request: pytest.FixtureRequest, drawings: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A base of an architecture, and an expert of each colour."""
    folder = tmp_path_factory.mktemp(request.param)
    save_image_base(folder / "base", request.param)
    text = RECIPE
    for name in NAMES:
        (folder / name).symlink_to(drawings / name)
        train_expert(folder / "base", drawings / name, folder / "experts" / name)
        text = text.replace(f"files: {name}", f"files: {name}, expert: experts/{name}")
    (folder / "recipe.yaml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def workspace(job: Path) -> Iterator[Workspace]:
    study = StudyFolder.create(job / "study", job / "recipe.yaml")
    study.save_recipe((job / "recipe.yaml").read_text())
    workspace = Workspace(study, Settings(job, job / "cache"))
    yield workspace
    workspace.close()


def inputs_of(job: Path, text: str) -> Inputs:
    return Inputs(parse_recipe(text, "recipe.yaml"), Settings(job, job / "cache"))


def load(folder: Path) -> Any:
    from transformers import AutoModelForImageClassification

    return AutoModelForImageClassification.from_pretrained(folder).eval()


def by_hand(model: Any, workspace: Workspace, name: str) -> dict[str, float]:
    """Every metric of a set, one example after the other."""
    inputs = workspace.inputs
    table = inputs.corpus(name).heldout_examples(8, inputs.overlap(name))
    losses, answers = [], []
    for k, label in enumerate(table.labels.tolist()):
        pixels = torch.from_numpy(table.item(k)["pixel_values"])
        with torch.no_grad():
            logits = model(pixel_values=pixels[None]).logits[0]
        losses.append(float(torch.nn.functional.cross_entropy(logits, torch.tensor(label))))
        answers.append(int(logits.argmax()))
    held, right = np.unique(table.labels), np.array(answers) == table.labels
    by_label = [np.mean(right[table.labels == each]) for each in held]
    found = {"loss": np.mean(losses), "accuracy": np.mean(right)}
    found["balanced_accuracy"] = np.mean(by_label)
    found["macro_f1"] = f1_score(table.labels, answers, labels=held, average="macro")
    return {f"{name}/{measure}": float(value) for measure, value in found.items()}


def merged_by_hand(job: Path, workspace: Workspace, mixture: Mixture) -> Any:
    """The average of the experts' tensors, written as a checkpoint."""
    tensors = [tensors_of(job / "experts" / name) for name in NAMES]
    average = {
        name: sum(s * t[name] for s, t in zip(mixture.shares, tensors, strict=True))
        for name in tensors[0]
    }
    return measured_anew(written(job, average), workspace, mixture)


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def written(job: Path, tensors: Mapping[str, Any]) -> Any:
    folder = job / "by-hand"
    shutil.copytree(job / "base", folder, dirs_exist_ok=True)
    save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
    return load(folder)


def measured_anew(model: Any, workspace: Workspace, mixture: Mixture) -> Any:
    """Batch norm in training mode over the mixture's rows, where there is any."""
    if workspace.statistics is not None:
        for norm in (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            norm.reset_running_stats()
            norm.momentum = None
        with torch.no_grad():
            for batch in workspace.statistics.batches(mixture, torch.device("cpu")):
                model.train()(**batch)
    return model.eval()


def test_examples_are_pixels_as_the_processor_makes_them(job: Path, workspace: Workspace) -> None:
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(job / "base", backend="pil")
    stream = workspace.inputs.corpus("red").train
    rows = stream.rows(1, None)
    made = {
        processor(Image.open(file), return_tensors="np")["pixel_values"].tobytes(): file.parent.name
        for file in (job / "red").glob("*/*.png")
    }
    for k in range(stream.n_rows(1)):
        item = rows.item(k)
        label = workspace.inputs.labels[int(item["labels"])]
        assert made[item["pixel_values"].tobytes()] == label


def test_share_1_is_the_expert_and_a_merge_a_plain_script(job: Path, workspace: Workspace) -> None:
    single = Mixture.single(NAMES, "green")
    [alone, merged] = workspace.proxy.score([single, MIXED])
    expert = workspace.runs.expert("green")
    [(_, checkpoint)] = workspace.evaluations.run([expert], VALUES)
    assert alone.values == {m.metric: m.value for m in checkpoint.measurements}
    for found, model in (
        (alone, load(job / "experts" / "green")),
        (merged, merged_by_hand(job, workspace, MIXED)),
    ):
        expected: dict[str, float] = {}
        for name in NAMES:
            expected |= by_hand(model, workspace, name)
        assert found.values == pytest.approx(expected, abs=1e-5)


def test_slopes_are_finite_differences_where_there_are_any(job: Path, workspace: Workspace) -> None:
    step = 1e-2
    [found] = workspace.proxy.score([MIXED], Request(order=1))
    measured = found.measurement("red/loss").derivatives
    if job.name.startswith("resnet"):
        assert measured is None
        return
    moved = [MIXED.array + sign * step * np.array([1, -1, 0]) for sign in (1, -1)]
    up, down = workspace.proxy.score([Mixture(NAMES, tuple(each)) for each in moved])
    expected = (up.values["red/loss"] - down.values["red/loss"]) / (2 * step)
    assert measured is not None
    assert measured.slopes[0] - measured.slopes[1] == pytest.approx(expected, abs=2e-4)


def test_averaged_predictions_have_slopes_whatever_the_architecture(workspace: Workspace) -> None:
    step = 1e-3
    scorer = make_predictions(workspace, workspace.answers.points[-1])
    moved = [MIXED.array + sign * step * np.array([1, -1, 0]) for sign in (1, -1)]
    [found] = scorer.score([MIXED], Request(order=1))
    up, down = scorer.score([Mixture(NAMES, tuple(each)) for each in moved])
    measured = found.measurement("red/loss").derivatives
    assert measured is not None
    expected = (up.values["red/loss"] - down.values["red/loss"]) / (2 * step)
    assert measured.slopes[0] - measured.slopes[1] == pytest.approx(expected, abs=1e-4)


def test_a_longer_step_of_an_expert_has_the_statistics_of_its_own_domain(
    job: Path, workspace: Workspace
) -> None:
    steps = workspace.answers.points[-1]
    [found] = make_predictions(workspace, steps, 1.5).score([Mixture.single(NAMES, "red")])
    base, expert = (tensors_of(folder) for folder in (job / "base", job / "experts" / "red"))
    state = {name: base[name] + 1.5 * (expert[name] - base[name]) for name in base}
    state |= {n: t for n, t in base.items() if not t.is_floating_point()}
    longer = measured_anew(written(job, state), workspace, Mixture.single(NAMES, "red"))
    expected = by_hand(longer, workspace, "red")["red/loss"]
    assert found.values["red/loss"] == pytest.approx(expected, abs=1e-5)


def test_batch_norm_cannot_have_slopes_or_coarse_statistics(job: Path) -> None:
    text = (job / "recipe.yaml").read_text()
    edits: Mapping[str, tuple[str, str]] = {
        "`search.method`: newton needs slopes": ("calibration", "search: {method: newton}\ncal"),
        "`evaluation.precision`: the running": (
            "max_sequences: 8",
            "max_sequences: 8, precision: bfloat16",
        ),
        "`training.method`: an adapter does not hold the running": (
            "device: cpu",
            "device: cpu, method: lora",
        ),
        r"got 4 in 4 pass\(es\)": (
            "batch_sequences: 4, ",
            "batch_sequences: 4, gradient_accumulation_steps: 4, ",
        ),
    }
    if not job.name.startswith("resnet"):
        pytest.skip("it has no batch norm")
    for complaint, (old, new) in edits.items():
        changed = text.replace(old, new.replace("\ncal", "\ncalibration"))
        with pytest.raises(RecipeError, match=complaint):
            require_inputs(inputs_of(job, changed))


def test_statistics_are_measured_on_as_many_examples_as_a_pass_of_training_has(job: Path) -> None:
    if not job.name.startswith("resnet"):
        pytest.skip("it has no batch norm")
    text = (job / "recipe.yaml").read_text()
    parts = "batch_sequences: 4, gradient_accumulation_steps: 2, "
    data = statistics_data(inputs_of(job, text.replace("batch_sequences: 4, ", parts)))
    assert data is not None
    assert (data.n_batches, data.batch_examples, data.n_examples) == (6, 2, 12)


def test_only_batch_norm_makes_the_processes_of_a_run_count(job: Path) -> None:
    text = (job / "recipe.yaml").read_text()
    spread = text.replace("batch_sequences: 4, ", "batch_sequences: 4, processes_per_run: 2, ")
    assert spread != text
    hashes = set()
    for inputs in (inputs_of(job, text), inputs_of(job, spread)):
        training = inputs.recipe.training
        hashes.add(
            run_fingerprint(inputs, MIXED, seed=0, settings=training, n_sequences=8, most_rows={})
        )
    assert len(hashes) == (2 if job.name.startswith("resnet") else 1)


def test_timing_leaves_running_statistics_as_they_are(job: Path, workspace: Workspace) -> None:
    if not job.name.startswith("resnet"):
        pytest.skip("it has no batch norm")
    inputs = workspace.inputs
    live = LiveModel.load(inputs.base, auto_class=inputs.recipe.task_facts.auto_class)
    measure_steps(live, inputs, 1)
    after = live.module.state_dict()
    assert all(torch.equal(after[name], live.base_tensor(name)) for name in live.tensors)


def test_units_of_an_expert_are_those_of_its_corner_and_its_checkpoint(
    job: Path, workspace: Workspace
) -> None:
    names = ("expert:red", "merge:red=1", "base")
    settings = UnitSettings(n_draws=2)
    expert, corner, base = (u for _, u in measure_study_units(workspace, names, settings).models)
    assert expert == corner
    model, inputs = load(job / "experts" / "red"), workspace.inputs
    images = [
        torch.from_numpy(
            inputs.corpus(name).heldout_examples(8, inputs.overlap(name)).item(k)["pixel_values"]
        )
        for name in NAMES
        for k in range(inputs.suite.sets[NAMES.index(name)].n_examples)
    ]
    pixels = torch.stack(images)
    assert expert.n_predictions == len(pixels)
    if job.name.startswith("resnet"):
        layers = find_classifier_layers(model, lambda net: net(pixels[:1]))
    else:
        layers = find_mlp_layers(model)
    own = measure_units(model, [pixels], layers, predict=classes, n_draws=2)
    assert expert.agreement == own.agreement
    assert expert.redundant == pytest.approx(own.redundant)
    assert base.agreement[0][0] == 1


def test_a_diagnosis_of_batch_norm_is_refused(job: Path, workspace: Workspace) -> None:
    if not job.name.startswith("resnet"):
        pytest.skip("it has no batch norm")
    with pytest.raises(RecipeError, match="merges of a base with batch norm have none"):
        run_diagnosis(workspace)


@pytest.fixture
def small(drawings: Path, tmp_path: Path) -> Path:
    """What can be changed: a base, and images of its own."""
    save_image_base(tmp_path / "base", "vit")
    for name in NAMES:
        shutil.copytree(drawings / name, tmp_path / name)
    return tmp_path


def test_a_base_can_be_tried_on_images(small: Path) -> None:
    assert isinstance(require_inputs(inputs_of(small, RECIPE)), LiveModel)


def test_adapters_of_an_image_classifier_are_merged_with_their_heads(small: Path) -> None:
    text = RECIPE.replace("device: cpu", "device: cpu, method: lora, lora: {rank: 2}")
    study = StudyFolder.create(small / "study", small / "recipe.yaml")
    study.save_recipe(text)
    workspace = Workspace(study, Settings(small, small / "cache"))
    with study.lock():
        require_inputs(workspace.inputs)
        workspace.runs.train_experts()
        folders = [workspace.runs.expert(name).folder for name in NAMES]
        experts = [
            PeftModel.from_pretrained(load(small / "base"), folder).merge_and_unload()
            for folder in folders
        ]
        base = load(small / "base").state_dict()
        states = [expert.state_dict() for expert in experts]
        assert not torch.equal(states[0]["classifier.bias"], base["classifier.bias"])
        average = {
            key: sum(s * state[key] for s, state in zip(MIXED.shares, states, strict=True))
            for key in base
        }
        merged = load(small / "base")
        merged.load_state_dict(average)
        [found] = workspace.proxy.score([MIXED])
        expected = by_hand(merged, workspace, "red")
        assert {name: found.values[name] for name in expected} == pytest.approx(expected, abs=1e-5)
    workspace.close()


def test_rows_that_are_shown_can_be_written(small: Path) -> None:
    [row, *_] = review_data(inputs_of(small, RECIPE), 1).rows
    written = json.loads(json.dumps(asdict(row)))
    assert (written["document"]["label"], written["size"]) == ("bar", [20, 18])


def test_an_expert_of_another_processor_is_refused(small: Path) -> None:
    train_expert(small / "base", small / "red", small / "expert", n_steps=1)
    save_processor(small / "expert", image_mean=[0.4] * 3)
    text = RECIPE.replace("files: red", "files: red, expert: expert")
    with pytest.raises(MixwiseError, match=r"`image_mean` of preprocessor_config\.json must be"):
        require_inputs(inputs_of(small, text))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("horizon_examples", "horizon_tokens", "`horizon_tokens` cannot be with"),
        ("budget: 100", "budget: 100\nexample_tokens: 9", "`example_tokens` cannot be with"),
        ("files: red", "files: red, records: labelled", "rows must be image records"),
        (
            "files: red",
            "hub: {dataset: org/red, stream_rows: 9}",
            r"`domains\.red\.hub\.stream_rows`: what",
        ),
    ],
)
def test_what_cannot_be_is_refused_early(small: Path, old: str, new: str, complaint: str) -> None:
    with pytest.raises(MixwiseError, match=complaint):
        inputs_of(small, RECIPE.replace(old, new)).source("red")


def test_a_label_of_another_folder_and_a_damaged_image_are_named(small: Path) -> None:
    file = small / "red" / "disc" / "3.png"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"red/disc/3\.png: no whole image"):
        inputs_of(small, RECIPE).corpus("red")
    file.write_bytes(content)
    (small / "red" / "disc").rename(small / "red" / "disk")
    with pytest.raises(DataError, match=r"the label `disk` is none of .*`disc`"):
        inputs_of(small, RECIPE).corpus("red")


def test_folders_of_images_have_weights_as_sources_have(small: Path) -> None:
    files = "red: {files: [red, blue], weights: {red: 3, blue: 1}}"
    sources = "red: {sources: [{files: red, weight: 3}, {files: blue, weight: 1}]}"
    by_files, by_sources = (
        inputs_of(small, RECIPE.replace("red: {files: red}", each)).corpus("red")
        for each in (files, sources)
    )
    assert by_files.key == by_sources.key
    assert by_files.facts.n_by_source == (40, 14)


def test_pixels_follow_the_files_and_are_found_again(small: Path) -> None:
    before = inputs_of(small, RECIPE).corpus("red")
    assert inputs_of(small, RECIPE).corpus("red").key == before.key
    (small / "red" / "disc" / "3.png").rename(small / "red" / "bar" / "30.png")
    assert inputs_of(small, RECIPE).corpus("red").key != before.key


def test_the_same_image_in_training_and_held_out_is_found(small: Path) -> None:
    text = RECIPE.replace("overlap: drop", "overlap: refuse")
    text = text.replace("evaluation: {", "evaluation: {sets: {copy: {files: red, kind: labels}}, ")
    with pytest.raises(DataError, match=r"36 held-out text\(s\) also stand in .*\.png: remove"):
        inputs_of(small, text).overlap("copy")
