"""Studies of texts and of conversations for hand-overs: rows of very different lengths.

Each row begins with the name of its domain, and has it again and again, so that whatever a trainer
draws can be told apart, sequences that are cut from a stream too.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from mixwise.export.exporter import Delivery, Export, RowsFormat
from mixwise.export.exporters import TRAINERS, write_export
from mixwise.export.from_study import make_handover
from mixwise.export.handover import Handover
from mixwise.export.trainer_exports import hand_over
from mixwise.export.trainers.trainer import Trainer
from mixwise.mixture import Mixture
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.results import FinalRun
from mixwise.study.session import Workspace

SHARES = {"short": 0.5, "long": 0.3, "few": 0.2}
SEQUENCE_LENGTH = 128
BATCH_TOKENS = 16 * SEQUENCE_LENGTH
_WORDS = ["river", "stone", "paper", "green", "quick", "seven", "night", "table", "cloud", "house"]
_LENGTHS = {"short": (4000, 8), "long": (400, 400), "few": (300, 60)}  # rows, words of one
_RECIPE = """\
base: {base}
horizon_tokens: {tokens}
sequence_length: {length}
heldout: {{fraction: 0.02}}
training: {{batch_sequences: 16, device: cpu}}
objective: {{metrics: [{{set: short, measure: loss}}]}}
{more}domains:
{domains}
"""
TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


@dataclass(frozen=True, slots=True, eq=False)
class Bed:
    """An opened study, and the hand-over of its mixture.

    Args:
        workspace: The study.
        handover: Its mixture.
        folder: Where exports go.
    """

    workspace: Workspace
    handover: Handover
    folder: Path

    def with_seed(self, seed: int) -> Bed:
        """The same mixture for a run of another seed."""
        return replace(self, handover=replace(self.handover, seed=seed))

    def export(self, trainer: Trainer, rows: RowsFormat | None = None) -> tuple[Path, Export]:
        """Write a trainer's file; its path, and what it holds."""
        file = self.folder / ("rows" if rows else "own") / trainer.file
        file.parent.mkdir(exist_ok=True)
        made = hand_over(trainer, self.handover, self.workspace, Delivery(file, rows))
        write_export(made, file)
        return file, made

    def count(self, texts: Iterable[str], trainer: Trainer) -> Counter[str]:
        """Tokens by domain of texts that a trainer has drawn, as it reads them."""
        tokenizer, found = self.workspace.inputs.tokenizer.tokenizer, Counter[str]()
        n_end = 1 if self.handover.domains[0].source.records == "text" else 0
        batch = list(texts)
        encoded = tokenizer(batch)["input_ids"] if batch else []
        for text, ids in zip(batch, encoded, strict=True):
            n_tokens = len(ids) + n_end
            is_cut = trainer.long_rows == "cut" and not n_end
            found[domain_of(text)] += min(n_tokens, SEQUENCE_LENGTH) if is_cut else n_tokens
        return found


def domain_of(text: str) -> str:
    """The domain that a text names first."""
    return next(word for word in text.replace(":", " ").split() if word in SHARES)


def trainer_named(name: str) -> Trainer:
    """A row of the table of trainers."""
    return next(trainer for trainer in TRAINERS if trainer.name == name)


def open_bed(folder: Path, records: str, shares: Mapping[str, float], tokens: int) -> Bed:
    """Write data of one kind of records, and open a study of it.

    Args:
        folder: An empty folder.
        records: ``text``, ``chat`` or ``sharegpt``.
        shares: Of the domains, by tokens.
        tokens: Of the final run.
    """
    folder.mkdir(parents=True)
    for name in shares:
        _write(folder / f"{name}.jsonl", name, records)
    (folder / "talk.jinja").write_text(TEMPLATE)
    domains = "\n".join(f"  {name}: {{files: {name}.jsonl}}" for name in shares)
    more = "" if records == "text" else "chat_template: talk.jinja\n"
    recipe = _RECIPE.format(
        base=resources.files("mixwise") / "demo" / "base",
        tokens=tokens,
        length=SEQUENCE_LENGTH,
        domains=domains,
        more=more,
    )
    (folder / "recipe.yaml").write_text(recipe)
    study = StudyFolder.create(folder / "study", folder / "recipe.yaml")
    study.save_recipe(recipe)
    workspace = Workspace(study, Settings(folder, folder / "cache"))
    run = FinalRun(tokens // SEQUENCE_LENGTH, SEQUENCE_LENGTH, workspace.inputs.available_tokens)
    mixture = Mixture(tuple(shares), tuple(shares.values()))
    return Bed(workspace, make_handover(mixture, run, workspace), folder)


def _write(path: Path, name: str, records: str) -> None:
    rng = random.Random(name)
    n_rows, n_words = _LENGTHS[name]
    with path.open("w", encoding="utf-8") as file:
        for k in range(n_rows):
            words = rng.choices(_WORDS, k=rng.randint(n_words // 2, n_words * 3 // 2))
            words[::10] = [name] * len(words[::10])
            text = f"{name} {k} {' '.join(words)}"
            file.write(json.dumps(_row(records, f"{name} {k}", text)) + "\n")


def _row(records: str, asked: str, text: str) -> dict[str, object]:
    if records == "text":
        return {"text": text}
    if records == "sharegpt":
        return {
            "conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": text}]
        }
    turns = {"user": asked, "assistant": text}
    return {"messages": [{"role": role, "content": said} for role, said in turns.items()]}


def rendered(turns: Sequence[tuple[str, str]]) -> str:
    """A conversation as the template writes it, of roles and what each says."""
    return "".join(f"{role}: {said}\n" for role, said in turns)
