from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tests.scoring.mixtures import HALF, NAMES, values
from tests.study.test_folder import make_study

from mixwise.errors import CheckpointError, DamagedError, EvaluationError, MixwiseWarning
from mixwise.mixture import Mixture
from mixwise.scorer import Scorer
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace
from mixwise.training.job import load_record, save_record
from mixwise.training.run_files import hash_run_files

THIRD = Mixture.uniform(NAMES)


@pytest.fixture(params=["proxy", "reference"])
def scorer(request: pytest.FixtureRequest, workspace: Workspace) -> Scorer:
    return workspace.proxy if request.param == "proxy" else workspace.reference([1, 2])


def test_one_observation_per_mixture_in_order(scorer: Scorer) -> None:
    observations = scorer.score([HALF, THIRD, HALF])
    assert [str(o.mixture) for o in observations] == [str(HALF), str(THIRD), str(HALF)]
    assert values(observations[0]) == values(observations[2])


def test_a_score_is_found_again(scorer: Scorer, workspace: Workspace) -> None:
    first = scorer.score([HALF])
    n = len(workspace.ledger.observations())
    again = scorer.score([HALF])
    assert values(first[0]) == values(again[0])
    assert len(workspace.ledger.observations()) == n


def test_observation_holds_every_metric_and_example(scorer: Scorer, workspace: Workspace) -> None:
    [observation] = scorer.score([THIRD])
    assert set(observation.values) == {metric.name for metric in workspace.recipe.metrics}
    for measurement in observation.measurements:
        assert len(measurement.examples) == len(measurement.example_weights) > 0


def test_a_changed_expert_is_scored_anew(pico: Path, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", pico / "recipe.yaml")
    seen = []
    for factor in (1.0, 1.01):
        workspace = Workspace(study, Settings(study.recipe_folder, tmp_path / "cache"))
        workspace.runs.train_experts()
        path = study.expert_folder("alpha") / "model.safetensors"
        tensors = load_file(path)
        save_file({k: t * factor for k, t in tensors.items()}, path, metadata={"format": "pt"})
        vouch(path.parent)
        seen.append(values(workspace.proxy.score([HALF])[0]))
        workspace.close()
    assert seen[0] != seen[1]


def test_merge_that_is_not_finite_names_the_mixture(pico: Path, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", pico / "recipe.yaml")
    workspace = Workspace(study, Settings(study.recipe_folder, tmp_path / "cache"))
    workspace.runs.train_experts()
    path = study.expert_folder("alpha") / "model.safetensors"
    tensors = {k: t * (1e38 if "norm" in k else 1e6) for k, t in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})
    vouch(path.parent)
    with pytest.raises(EvaluationError, match=r"merge of `alpha=0.5,beta=0.5`: .* must be finite"):
        workspace.proxy.score([HALF])
    assert not workspace.ledger.observations("proxy")
    workspace.close()


def test_expert_that_is_not_finite_is_refused_by_name(pico: Path, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", pico / "recipe.yaml")
    workspace = Workspace(study, Settings(study.recipe_folder, tmp_path / "cache"))
    workspace.runs.train_experts()
    path = study.expert_folder("alpha") / "model.safetensors"
    tensors = {k: t * float("nan") for k, t in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})
    vouch(path.parent)
    with pytest.raises(CheckpointError, match=r"alpha: tensor `.*` must be finite"):
        workspace.proxy.score([HALF])
    workspace.close()


def test_progress_counts_up_to_the_end(workspace: Workspace) -> None:
    seen: list[tuple[int, int]] = []
    workspace.merged._on_progress = lambda p: seen.append((p.done, p.total))
    fresh = [Mixture(NAMES, (0.9 - share, 0.1, share)) for share in (0.1, 0.2)]
    workspace.merged.score(fresh)
    assert seen == [(1, 2), (2, 2)]
    workspace.merged.score(fresh)  # found in the ledger: nothing to wait for
    assert len(seen) == 2


def test_an_expert_that_is_not_the_trained_one_is_refused_and_its_scores_are_forgotten(
    pico: Path, tmp_path: Path
) -> None:
    study = make_study(tmp_path / "study", pico / "recipe.yaml")
    workspace = Workspace(study, Settings(study.recipe_folder, tmp_path / "cache"))
    workspace.runs.train_experts()
    workspace.proxy.score([HALF])
    shutil.copy(study.expert_folder("beta") / "model.safetensors", study.expert_folder("alpha"))
    with pytest.raises(DamagedError, match=r"alpha/model\.safetensors: is not the file that was"):
        workspace.runs.expert("alpha")
    assert not workspace.ledger.observations("proxy")
    workspace.close()


def test_a_damaged_task_vector_takes_the_scores_that_came_from_it_along(
    pico: Path, tmp_path: Path
) -> None:
    study = make_study(tmp_path / "study", pico / "recipe.yaml")
    seen = []
    for damage in (False, True):
        workspace = Workspace(study, Settings(study.recipe_folder, tmp_path / "cache"))
        workspace.runs.train_experts()
        if damage:
            file = study.store_folder / "alpha.safetensors"
            whole = file.read_bytes()
            file.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
            with pytest.warns(MixwiseWarning, match=r"alpha\.safetensors: is damaged .* 1 score"):
                assert workspace.merges
            assert not workspace.ledger.observations("proxy")
        seen.append(values(workspace.proxy.score([HALF])[0]))
        workspace.close()
    assert seen[0] == seen[1]
    assert file.read_bytes() == whole


def vouch(folder: Path) -> None:
    """Let the record of a run say that its files are as they are now."""
    record = load_record(folder)
    assert record is not None
    save_record(record.model_copy(update={"files": hash_run_files(folder)}), folder)
