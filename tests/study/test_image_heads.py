"""Domains of images whose labels differ, a head each, on a base with batch norm and one without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.images import RECIPE, save_image_base, write_folders
from tests.study.test_image_classification import load, measured_anew

from mixwise.mixture import Mixture
from mixwise.stages.merge import merge_study
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace

NAMES = ("red", "green", "blue")
OUTPUTS = ("red/bar", "red/disc", "green/long", "green/round", "blue/bar", "blue/disc")
ROWS = {"red": slice(0, 2), "green": slice(2, 4), "blue": slice(4, 6)}
MIXTURES = ((0.5, 0.25, 0.25), (0.6, 0.4, 0.0), (1.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("headed")
    write_folders(folder)
    for old, new in (("bar", "long"), ("disc", "round")):
        (folder / "green" / old).rename(folder / "green" / new)
    return folder


@pytest.fixture(scope="module", params=["resnet", "vit"])
def trained(
    request: pytest.FixtureRequest, drawings: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workspace]:
    """A study whose experts mixwise has trained, each on its own labels."""
    job = tmp_path_factory.mktemp(f"headed-{request.param}")
    labels = {
        "id2label": dict(enumerate(OUTPUTS)),
        "label2id": {n: k for k, n in enumerate(OUTPUTS)},
    }
    save_image_base(job / "base", request.param, **labels)
    for name in NAMES:
        (job / name).symlink_to(drawings / name)
    text = RECIPE.replace("classification\n", "classification\nlabels: per-domain\n")
    (job / "recipe.yaml").write_text(text)
    study = StudyFolder.create(job / "study", job / "recipe.yaml")
    study.save_recipe(text)
    workspace = Workspace(study, Settings(job, job / "cache"))
    with study.lock():
        workspace.runs.train_experts()
        yield workspace
        workspace.close()


def merged_by_hand(workspace: Workspace, shares: tuple[float, ...]) -> Any:
    """Body by the shares, heads of the domains that have one, statistics measured anew."""
    study = workspace.study
    states = {name: load(study.expert_folder(name)).state_dict() for name in NAMES}
    model = load(study.recipe_folder / "base")
    present = {name: share for name, share in zip(NAMES, shares, strict=True) if share}
    if len(present) == 1:
        model.load_state_dict(states[next(iter(present))])
        return model.eval()
    merged = {}
    for key, before in model.state_dict().items():
        merged[key] = before.clone()
        if key.startswith("classifier."):
            for name in present:
                merged[key][ROWS[name]] = states[name][key][ROWS[name]]
        elif key.rpartition(".")[2] not in ("running_mean", "running_var", "num_batches_tracked"):
            merged[key] = sum(share * states[name][key] for name, share in present.items())
    model.load_state_dict(merged)
    return measured_anew(model, workspace, Mixture(NAMES, shares))


def loss_by_hand(model: Any, workspace: Workspace, name: str) -> float:
    table = workspace.inputs.corpus(name).heldout_examples(8, workspace.inputs.overlap(name))
    losses = []
    for k, label in enumerate(table.labels.tolist()):
        with torch.no_grad():
            pixels = torch.from_numpy(table.item(k)["pixel_values"])
            logits = model(pixel_values=pixels[None]).logits[0, ROWS[name]]
        right = torch.tensor(label - ROWS[name].start)
        losses.append(float(torch.nn.functional.cross_entropy(logits, right)))
    return sum(losses) / len(losses)


def test_a_merge_keeps_heads_and_measures_statistics_anew(trained: Workspace) -> None:
    found = trained.proxy.score([Mixture(NAMES, shares) for shares in MIXTURES])
    for observation, shares in zip(found, MIXTURES, strict=True):
        model = merged_by_hand(trained, shares)
        expected = {f"{name}/loss": loss_by_hand(model, trained, name) for name in NAMES}
        losses = {name: observation.values[name] for name in expected}
        assert losses == pytest.approx(expected, abs=1e-5)


def test_an_expert_learns_the_rows_of_its_own_head_alone(trained: Workspace) -> None:
    base = load(trained.study.recipe_folder / "base").state_dict()
    for name, rows in ROWS.items():
        expert = load(trained.study.expert_folder(name)).state_dict()
        for key in (key for key in base if key.startswith("classifier.")):
            moved = expert[key] - base[key]
            assert moved[rows].any()
            moved[rows] = 0
            assert not moved.any()


def test_a_merged_model_that_is_written_is_the_one_that_was_scored(
    trained: Workspace, tmp_path: Path
) -> None:
    [observation] = trained.proxy.score([Mixture(NAMES, MIXTURES[0])])
    merge_study(trained, "red=0.5,green=0.25,blue=0.25", tmp_path / "merged", form="model")
    model = load(tmp_path / "merged")
    assert list(
        json.loads((tmp_path / "merged" / "config.json").read_text())["id2label"].values()
    ) == list(OUTPUTS)
    expected = {f"{name}/loss": loss_by_hand(model, trained, name) for name in NAMES}
    assert {n: observation.values[n] for n in expected} == pytest.approx(expected, abs=1e-5)


def test_a_reference_learns_every_head(trained: Workspace) -> None:
    [[run]] = trained.reference((1,)).runs([Mixture(NAMES, MIXTURES[0])])
    job = trained.runs.job(Mixture(NAMES, MIXTURES[0]), 1)
    moved = load(job.output).state_dict()
    base = load(trained.study.recipe_folder / "base").state_dict()
    for key in (key for key in base if key.startswith("classifier.")):
        assert all((moved[key] - base[key])[rows].any() for rows in ROWS.values())
    expected = {f"{name}/loss": loss_by_hand(load(job.output), trained, name) for name in NAMES}
    assert {n: run.values[n] for n in expected} == pytest.approx(expected, abs=1e-5)
