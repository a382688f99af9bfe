"""Studies with a recommendation and nothing trained: what exporters read of one, and no more."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.report.conftest import Parts

from mixwise.export.handover import HandedDomain, HandedSource, Handover, RowCounts
from mixwise.mixture import Mixture
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.results import FinalRun, Recommendation
from mixwise.study.session import Workspace

_RECIPE = """\
base: base
horizon_tokens: {tokens}
sequence_length: 16
heldout: {{fraction: 0.1}}
training: {{batch_sequences: 4, device: cpu}}
objective: {{metrics: [{{set: {first}, measure: loss}}]}}
domains:
{domains}
"""


def write_words(path: Path, n_rows: int, words: int, seed: int = 0) -> None:
    """JSON lines of texts of about so many words, and a column beside them."""
    rng = random.Random(f"{path.name}{seed}")
    rows = (
        {
            "text": " ".join(rng.choices("abcdefgh", k=rng.randint(words // 2, words * 3 // 2))),
            "source": rng.choice(["web", "wiki"]),
        }
        for _ in range(n_rows)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_talks(path: Path, n_rows: int, records: str) -> None:
    """JSON lines of conversations with one answer."""
    rng = random.Random(path.name)
    with path.open("w") as file:
        for k in range(n_rows):
            asked, answer = f"{path.stem} {k}", " ".join(rng.choices("abcdefgh", k=6))
            if records == "chat":
                row: dict[str, Any] = {
                    "messages": [
                        {"role": "user", "content": asked},
                        {"role": "assistant", "content": answer},
                    ],
                    "id": k,
                }
            elif records == "sharegpt":
                row = {
                    "conversations": [
                        {"from": "human", "value": asked},
                        {"from": "gpt", "value": answer},
                    ]
                }
            else:
                row = {"instruction": asked, "input": "", "output": answer}
            file.write(json.dumps(row) + "\n")


def open_study(folder: Path, domains: dict[str, str], tokens: int, more: str = "") -> Workspace:
    """A workspace of a recipe over a folder that has a base."""
    listed = "\n".join(f"  {name}: {keys}" for name, keys in domains.items())
    recipe = _RECIPE.format(tokens=tokens, first=next(iter(domains)), domains=listed) + more
    path = folder / "recipe.yaml"
    path.write_text(recipe)
    study = StudyFolder.create(folder / "study", path)
    study.save_recipe(recipe)
    return Workspace(study, Settings(folder, folder / "tokens"))


def recommend(workspace: Workspace, shares: dict[str, float]) -> Recommendation:
    """The recommendation of these shares for the study's final run."""
    recipe, inputs = workspace.recipe, workspace.inputs
    mixture = Mixture(tuple(shares), tuple(shares.values()))
    made = Parts(tuple(shares), "slopes").recommendation()
    run = FinalRun(
        recipe.n_steps * recipe.training.batch_sequences,
        recipe.sequence_length,
        inputs.available_tokens,
    )
    return replace(made, mixture=mixture, run=run)


def handed(
    name: str,
    share: float,
    *,
    n_rows: int,
    mean: int,
    horizon: int = 1000,
    records: str = "text",
    **changes: Any,
) -> HandedDomain:
    """A domain of one JSON-lines file, all of whose rows are equally long."""
    fields = {
        "text": {"text": "text"},
        "prompt-completion": {"prompt": "prompt", "completion": "completion", "separator": ""},
        "chat": {"messages": "messages", "prompt": None, "tools": None},
        "sharegpt": {"conversations": "conversations", "system": None},
        "alpaca": {"instruction": "instruction", "input": "input", "output": "output"},
    }[records]
    usual = {"text": "all", "prompt-completion": "completion"}.get(records, "assistant")
    values: dict[str, Any] = {
        "files": (Path(f"/data/{name}.jsonl"),),
        "hub": None,
        "format": "jsonl",
        "records": records,
        "fields": fields,
        "learn": usual,
        "where": {},
    }
    source = HandedSource(**values | changes)
    counts = RowCounts(n_rows, 0, n_rows * mean, n_rows * min(mean, 16))
    return HandedDomain(name, share, share * horizon, counts, (source,))


def hand(*domains: HandedDomain, horizon: int = 1000) -> Handover:
    """A hand-over with steps of four sequences of 16 tokens."""
    return Handover(tuple(domains), horizon, 16, 4, 1, "base")
