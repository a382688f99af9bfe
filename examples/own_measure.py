"""A measure of your own: how often a model repeats the token before, as a kind of evaluation set.

    python examples/own_measure.py [FOLDER]

Trains three short experts on the texts that ship with mixwise, on a CPU in half a minute, and
recommends the mixture whose merge is best at French manuals and repeats itself least.
"""

import hashlib
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mixwise import EvaluationKind, Measure, Measurement, Metric, Part, Study, register_kind

REPEATED = Measure("repeated", "min", "share", "probability of the token that was read last")


class Repetition:
    """Probability of every token of the vocabulary's first hundred after itself.

    Args:
        name: Name of the set in the recipe.
    """

    n_examples = n_tokens = 100

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The one that is measured."""
        return (Metric.of(self.name, REPEATED),)

    @property
    def fingerprint(self) -> str:
        """Changes with all that the values depend on besides the model."""
        return hashlib.blake2b(f"repetition {self.name}".encode(), digest_size=16).hexdigest()

    def evaluate(self, model: Any, part: Part = Part()) -> tuple[Measurement, ...]:  # noqa: B008
        """One value for each of the part's tokens."""
        device = next(model.parameters()).device
        ids = torch.from_numpy(part.examples(self.n_examples)).to(device)
        last = model(input_ids=ids[:, None].repeat(1, 2)).logits[:, -1].float().softmax(-1)
        values = last.gather(1, ids[:, None])[:, 0].double().cpu().numpy()
        return (Measurement(f"{self.name}/{REPEATED.name}", values, np.ones(len(values))),)


register_kind(EvaluationKind("repetition", (REPEATED,), lambda opened: Repetition(opened.name)))


RECIPE = """\
base: {demo}/base
domains:
  c:      {{files: "{demo}/data/c.jsonl.gz"}}
  german: {{files: "{demo}/data/german.jsonl.gz"}}
  french: {{files: "{demo}/data/french.jsonl.gz"}}
horizon_tokens: 4096
budget: 1
sequence_length: 128
evaluation:
  sets:
    outils: {{files: "{demo}/data/outils.jsonl.gz"}}
    echo: {{kind: repetition}}
  max_sequences: 8
training: {{learning_rate: 2.5e-4, batch_sequences: 4, warmup_steps: 1}}
objective:
  metrics: [{{set: outils, measure: loss}}, {{set: echo, measure: repeated}}]
"""


def main(folder: str) -> None:
    """Search mixtures of three of the demo's domains by both measures."""
    with resources.as_file(resources.files("mixwise") / "demo") as demo:
        recipe = Path(folder).with_suffix(".yaml")
        recipe.write_text(RECIPE.format(demo=demo), encoding="utf-8")
        with Study.create(folder, recipe) as study:
            study.train_experts()
            print(study.search().answer)
            print(study.candidates()[["outils/loss", "echo/repeated"]].head())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "own-measure")
