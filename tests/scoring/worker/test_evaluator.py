from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_models import save_base, save_full_expert

from mixwise.errors import CheckpointError
from mixwise.evaluation.suite import EvaluationSuite
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.objective import Metric
from mixwise.observation import Measurement
from mixwise.scoring.worker.evaluator import LiveEvaluator, open_pool
from mixwise.scoring.worker.job import EvaluationJob, MergeSettings, ModelSettings


@pytest.mark.parametrize("is_stored", [False, True])
def test_expert_that_never_moved_is_refused_wherever_it_comes_from(
    is_stored: bool, tmp_path: Path
) -> None:
    base = save_base("llama tied", tmp_path / "base")
    moved = save_full_expert(base, tmp_path / "a", 0)
    same = open_checkpoint(Path(shutil.copytree(base.folder, tmp_path / "b")))
    store = tmp_path / "store" if is_stored else None
    live = LiveModel.load(base)
    settings = MergeSettings({"a": moved, "b": same}, "linear", store, "float32", (), ())
    with pytest.raises(CheckpointError, match="b: the expert equals the base in all"):
        open_pool(live, settings)


class Logits:
    """A set that measures what a model makes of two pictures."""

    name, n_examples, n_tokens, fingerprint = "pictures", 2, 2, "pictures"
    metrics = (Metric("pictures", "logit", "max"),)

    def evaluate(self, model: Any, part: Any) -> tuple[Measurement, ...]:
        pictures = torch.linspace(-1, 1, 2 * 3 * 64 * 64).sin().view(2, 3, 64, 64)
        with torch.no_grad():
            values = model(pictures).logits[:, 0].double().numpy()
        return (Measurement("pictures/logit", values, np.ones(2)),)


def test_what_a_module_keeps_of_its_last_weights_is_not_measured(tmp_path: Path) -> None:
    from transformers import LevitConfig, LevitForImageClassification

    config = LevitConfig(
        image_size=64,
        hidden_sizes=[8, 8, 8],
        num_attention_heads=[1, 1, 1],
        depths=[1, 1, 1],
        key_dim=[4, 4, 4],
        down_ops=[["Subsample", 4, 2, 4, 2, 2]] * 2,
        num_labels=2,
    )
    torch.manual_seed(0)
    folders = [tmp_path / name for name in ("base", "other")]
    for folder in folders:
        model = LevitForImageClassification(config)
        for parameter in model.parameters():  # attention biases begin at 0
            torch.nn.init.normal_(parameter)
        model.save_pretrained(folder)
    base, other = (open_checkpoint(folder) for folder in folders)
    settings = ModelSettings(base, auto_class="AutoModelForImageClassification")
    suite = EvaluationSuite((Logits(),), 2)  # type: ignore[arg-type]
    job = EvaluationJob(settings, suite, (base, other))
    found = LiveEvaluator(settings, suite).evaluate(job, lambda n: None)
    fresh = LevitForImageClassification.from_pretrained(other.folder).eval()
    [expected] = Logits().evaluate(fresh, None)
    assert np.allclose(found[1].measurements[0].examples, expected.examples, rtol=1e-4)
