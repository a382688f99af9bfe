"""The mixture as NeMo Automodel takes it.

Source:
    ``MegatronPretrainingConfig.paths`` and ``DomainMixtureConfig`` of NeMo Automodel 0.7: sampling
    weights of sequences, and weights of the loss apart from them.

Method:
    Objective weights are the sampling weights, so that no token counts more than another, as in the
    study; the two must agree with the weights among the paths.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mixwise.errors import RecipeError
from mixwise.export.handover import Handover
from mixwise.export.trainers.megatron import TOKEN_FILES, prefixes, preprocessing_lines
from mixwise.export.trainers.trainer import Rendered, Trainer
from mixwise.export.trainers.yaml_lines import as_yaml

_AGGREGATE = "weighted"  # what Automodel calls its own mean over the domains


def render(handover: Handover, file: Path) -> Rendered:
    """The dataset, and the mixture's domains where there are two or more.

    Raises:
        RecipeError: If one of several domains has the name that Automodel keeps for itself.
    """
    paths = prefixes(handover)
    weights = {d.name: round(d.share, 8) for d in handover.domains}
    values: dict[str, Any] = {
        "dataset": {
            "paths": [text for name, path in paths.items() for text in (str(weights[name]), path)],
            "seq_length": handover.sequence_length,
            "num_train_samples": handover.horizon_tokens // handover.sequence_length,
            "split": "100,0,0",
            "seed": handover.seed,
        }
    }
    if len(weights) > 1:
        if _AGGREGATE in weights:
            raise RecipeError(
                f"`domains.{_AGGREGATE}`: NeMo Automodel keeps this name for its own mean over the "
                "domains: rename the domain"
            )
        values["domain_mixture"] = {
            "domains": [
                {
                    "name": name,
                    "path": paths[name],
                    "sampling_weight": weight,
                    "objective_weight": weight,
                }
                for name, weight in weights.items()
            ]
        }
    return Rendered((*preprocessing_lines(handover), *as_yaml(values)), weights)


NEMO = Trainer(
    name="nemo",
    title="NeMo Automodel 0.7",
    file="nemo.yaml",
    weight="`sampling_weight` is a share of sequences, so of tokens; `objective_weight` is a "
    "weight of the loss, equal to it so that every token counts alike.",
    use="Add these keys to a recipe of MegatronPretraining; tokenise the files first, as the lines "
    "below say.",
    long_rows="whole",
    reads=TOKEN_FILES,
    render=render,
    layouts=("as it stands", "text"),
)
