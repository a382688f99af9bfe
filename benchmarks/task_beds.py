"""Labelled beds by the product itself: recipes with `task:`, every subset trained, a head each too.

    python -m benchmarks.task_beds [BED …] [--scratch .bench/task]

Each bed is a folder with a recipe, a small base and data that packages bring
(`benchmarks.truth.labelled`). The product trains experts and all references, merges and scores; the
script names mixtures and compares. A killed script goes on where it was.

    sentiment  two labels, four sources. Targets: the test rows of each source, by mixtures of the
               other three, as in `benchmarks.merge_to_mix`: every subset, three seeds.
    digits     ten labels, four ways to draw scikit-learn's digits (images), likewise.
    heads      the four sources with other labels each (2, 3, 5 and 2), so a head each. Targets: the
               test rows of each source by its own head, and their mean, over every subset and 16
               mixtures of all sources, three seeds.

Method:
    Runs of 120 steps of 32 examples. *Merge to Mix*: merges of experts of whole runs, by accuracy.
    *mixwise*: the default, of experts of a quarter of a run, by the loss. ρ is Spearman's with the
    accuracy, or minus the loss, of trained models: the mean over targets, 95 % bootstrap intervals
    over mixtures, beside what the seeds allow. Where domains have heads, *all heads kept* scores a
    subset with every domain's head, that of absent ones too (by shares of a billionth).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.merge_to_mix import Figure
from benchmarks.truth.labelled import LABELLED_BEDS, write_labelled
from examples.sentiment import make_data

from mixwise.arrays import Array
from mixwise.decision.agreement import spearman_rows
from mixwise.decision.fidelity import measure_fidelity
from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.search.methods.subsets import subsets
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Settings
from mixwise.study.session import Workspace

STEPS, BATCH = 120, 32
SEEDS = (1001, 1002, 1003)
_N_RATIOS = 16
_N_BOOTSTRAP = 2000
_LITTLE = 1e-9  # a share that trains nothing and keeps a head
_RECIPE = """\
base: base
task: {task}
labels: {labels}
domains:
{domains}
horizon_examples: {horizon}
{width}budget: 100
heldout: {{overlap: drop}}
evaluation:
  sets:
{sets}
  max_sequences: 100000
  batch_sequences: 200
training: {{learning_rate: {rate}, batch_sequences: {batch}, warmup_steps: 5, device: cpu}}
experts: {{horizon_tokens: {experts}, halvings: {halvings}}}
proxy: {{answer: {answer}, continued: {continued}}}
calibration: {{mixtures: 0}}
engine: {{workers: 1, threads: 1}}
"""


@dataclass(frozen=True, slots=True)
class TaskBed:
    """A bed as a recipe reads it.

    Args:
        task: Name of the task.
        rate: Learning rate, that of the task's example.
        has_heads: Whether domains have labels of their own.
        write: Writes `base`, `train/DOMAIN` and `test/DOMAIN` into a folder.
    """

    task: str
    rate: float
    has_heads: bool
    write: Callable[[Path], None]

    def recipe(self, names: Sequence[str], suffix: str, *, is_published: bool) -> str:
        """Of the published way, or of the product's default."""
        head = "head: {name}, " if self.has_heads else ""
        entry = f"    test-{{name}}: {{{{files: test/{{name}}{suffix}, {head}kind: labels}}}}"
        return _RECIPE.format(
            task=self.task,
            labels="per-domain" if self.has_heads else "shared",
            domains="\n".join(f"  {name}: {{files: train/{name}{suffix}}}" for name in names),
            sets="\n".join(entry.format(name=name) for name in names),
            horizon=STEPS * BATCH,
            width="example_tokens: 64\n" if suffix else "",
            rate=self.rate,
            batch=BATCH,
            experts=STEPS * BATCH // (1 if is_published else 4),
            halvings=0 if is_published else 2,
            answer="merged" if is_published else "auto",
            continued="false" if is_published else "true",
        )


def _write_sentiment(folder: Path) -> None:
    source = write_labelled("sentiment", folder.parent / "packages")
    _link(source, folder)
    root = make_data.fetch(folder.parent / "packages" / "packages")
    words = list(make_data.read_words(root))
    texts = [
        json.loads(line)["text"]
        for file in sorted(source.glob("train/*"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    make_data.make_base(folder / "base", words, texts)


def _write_digits(folder: Path) -> None:
    from examples.vision.make_data import Drawing, make_base
    from PIL import Image

    source = write_labelled("digits", folder.parent / "packages")
    _link(source, folder)
    drawings = [
        Drawing(
            "base",
            file.parent.name,
            f"{file.stem}-{file.parent.parent.name}",
            Image.open(file).convert("RGB"),
        )
        for file in sorted(source.glob("base/*/*/*.png"))
    ]
    make_base(folder / "base", drawings)


_SIGNS = ("against", "for")


def _label_of(domain: str, rating: float) -> str | None:
    """Another set of labels for each source; None where a sentence is left out."""
    if domain == "amazon":
        return ("poor", "mixed", "good")[int(np.digitize(rating, [-1.0, 1.0]))]
    if domain == "films":
        return str(1 + int(np.digitize(rating, [-2.0, -0.7, 0.7, 2.0])))
    sign = make_data.sign_of(rating)
    return None if sign is None else sign if domain == "tweets" else _SIGNS[sign == "positive"]


def _write_heads(folder: Path) -> None:
    """The rows of *sentiment* and those near zero, by rating; a base whose body has read words."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    write_bed("sentiment", folder.parent)
    root = make_data.fetch(folder.parent / "packages" / "packages")
    labels: dict[str, set[str]] = {}
    for domain, source in LABELLED_BEDS["sentiment"].vendors.items():
        named = {"nyt": "newspaper"}.get(source, source)
        tests = _texts(folder.parent / "sentiment" / "test" / f"{domain}.jsonl")
        rows: dict[str, list[str]] = {"train": [], "test": []}
        for k, (_, rating, text) in enumerate(
            make_data.read_ratings(root, make_data.SOURCES[named])
        ):
            label = _label_of(domain, rating)
            if label is None:
                continue
            part = "test" if text in tests or (abs(rating) <= 0.5 and k % 10 > 6) else "train"
            rows[part].append(json.dumps({"text": text, "label": label}))
            labels.setdefault(domain, set()).add(label)
        for part, lines in rows.items():
            path = folder / part / f"{domain}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = [f"{domain}/{label}" for domain, own in labels.items() for label in sorted(own)]
    body = folder.parent / "sentiment" / "base"
    import torch

    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(
        body, id2label=dict(enumerate(names)), ignore_mismatched_sizes=True
    )
    model.save_pretrained(folder / "base")
    AutoTokenizer.from_pretrained(body).save_pretrained(folder / "base")


def _texts(file: Path) -> set[str]:
    return {json.loads(line)["text"] for line in file.read_text(encoding="utf-8").splitlines()}


def _link(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        if not (folder / part).exists():
            (folder / part).symlink_to(os.path.relpath((source / part).resolve(), folder.resolve()))


BEDS: Mapping[str, TaskBed] = {
    "sentiment": TaskBed("text-classification", 3e-4, False, _write_sentiment),
    "digits": TaskBed("image-classification", 5e-4, False, _write_digits),
    "heads": TaskBed("text-classification", 3e-4, True, _write_heads),
}


def write_bed(name: str, scratch: Path) -> Path:
    """Write a bed's data, base and two recipes, where they are not there yet."""
    bed, folder = BEDS[name], scratch / name
    if not (folder / "default.yaml").is_file():
        bed.write(folder)
        suffix = ".jsonl" if bed.task.startswith("text") else ""
        names = LABELLED_BEDS["digits" if name == "digits" else "sentiment"].domains
        for file, is_published in (("published.yaml", True), ("default.yaml", False)):
            (folder / file).write_text(bed.recipe(names, suffix, is_published=is_published))
    return folder


def open_study(folder: Path, name: str) -> Workspace:
    """The study of one of a bed's recipes, its experts trained."""
    place, recipe = folder / f"study-{name}", folder / f"{name}.yaml"
    study = StudyFolder.open(place) if place.is_dir() else StudyFolder.create(place, recipe)
    cache = folder / "cache"
    workspace = Workspace(study, Settings(recipe_folder=folder, cache=cache))
    workspace.runs.train_experts()
    return workspace


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What a bed's mixtures scored.

    Args:
        mixtures: All of them.
        truth: Of trained models: observations by mixture and seed.
        ways: Of each way: observations by mixture.
    """

    mixtures: tuple[Mixture, ...]
    truth: tuple[tuple[Observation, ...], ...]
    ways: Mapping[str, tuple[Observation, ...]]


def score_bed(name: str, scratch: Path) -> Scored:
    """Train and score all mixtures of a bed."""
    folder = write_bed(name, scratch)
    published, default = (open_study(folder, each) for each in ("published", "default"))
    names = published.recipe.domain_names
    mixtures = list(subsets(names))
    if BEDS[name].has_heads:
        draws = np.random.default_rng(0).dirichlet(np.ones(len(names)), _N_RATIOS)
        mixtures += [
            Mixture(names, tuple(np.round(row, 6) / np.round(row, 6).sum())) for row in draws
        ]
    truth = published.reference(SEEDS).runs(mixtures)
    ways = {
        "published": published.proxy.score(mixtures),
        "default": default.proxy.score(mixtures),
    }
    if BEDS[name].has_heads:
        ways["all heads kept"] = published.proxy.score([_with_all_heads(m) for m in mixtures])
    published.close()
    default.close()
    return Scored(tuple(mixtures), truth, ways)


def _with_all_heads(mixture: Mixture) -> Mixture:
    shares = np.array([share or _LITTLE for share in mixture.shares])
    return Mixture(mixture.domains, tuple(shares / shares.sum()))


@dataclass(frozen=True, slots=True)
class Problem:
    """A question of a bed: scores of some mixtures, and what was trained.

    Args:
        scores: By a way, larger is better, ``(n_mixtures,)``.
        truth: ``(n_mixtures, n_seeds)``.
    """

    scores: Array
    truth: Array


def _oriented(value: Callable[[str], float], sets: Sequence[str], measure: str) -> float:
    sign = -1 if measure == "loss" else 1
    return sign * float(np.mean([value(f"test-{each}/{measure}") for each in sets]))


def ask(
    scored: Scored, way: str, chosen: Sequence[int], sets: Sequence[str], by: str, measure: str
) -> Problem:
    """A way's scores of some mixtures on some test sets, and the truth.

    Args:
        scored: The bed.
        way: One of its ways.
        chosen: Places of the mixtures.
        sets: Domains whose test rows count, on average.
        by: What the way measures.
        measure: What trained models are measured by.
    """
    found = [scored.ways[way][k].values for k in chosen]
    trained = [[run.values for run in scored.truth[k]] for k in chosen]
    return Problem(
        np.array([_oriented(each.__getitem__, sets, by) for each in found]),
        np.array([[_oriented(v.__getitem__, sets, measure) for v in runs] for runs in trained]),
    )


def summarise(asked: Sequence[Problem]) -> tuple[Figure, float, float]:
    """Mean over problems of ρ with its interval, of what the seeds allow, and of the regret."""
    rng, draws, ceilings, regrets = np.random.default_rng(0), [], [], []
    for problem in asked:
        mean = problem.truth.mean(axis=1)
        rows = rng.integers(0, len(mean), (_N_BOOTSTRAP, len(mean)))
        rows = np.concatenate([np.arange(len(mean))[None], rows])
        draws.append(spearman_rows(problem.scores[rows], mean[rows]))
        ceiling = measure_fidelity(mean, problem.truth, sign=1, seed=0).ceiling
        ceilings.append(np.nan if ceiling is None else ceiling)
        regrets.append(mean.max() - mean[int(problem.scores.argmax())])
    figure = Figure.of(np.nanmean(draws, axis=0))
    return figure, float(np.nanmean(ceilings)), float(np.mean(regrets))


def questions(name: str, scored: Scored) -> dict[str, list[tuple[list[int], list[str]]]]:
    """Mixtures and test sets of each question that is asked of a bed."""
    names = scored.mixtures[0].domains
    every = range(len(scored.mixtures))
    if not BEDS[name].has_heads:
        return {
            "left out": [
                ([k for k in every if not scored.mixtures[k].as_dict()[target]], [target])
                for target in names
            ]
        }
    places = {
        "all sources": [k for k in every if min(scored.mixtures[k].shares) > 0],
        "subsets": list(every[: 2 ** len(names) - 1]),
    }
    return {
        f"{kind}, {label}": [(chosen, sets) for sets in asked]
        for kind, chosen in places.items()
        for label, asked in (
            ("own sets", [[each] for each in names]),
            ("mean of the sets", [list(names)]),
        )
    }


def print_table(name: str, scored: Scored) -> None:
    """One line a way, a question and a measure."""
    print(f"{name}: {len(scored.mixtures)} mixtures, {len(SEEDS)} seeds")
    for question, asked in questions(name, scored).items():
        for measure in ("accuracy", "loss"):
            for way in scored.ways:
                for by in ("accuracy", "loss"):
                    problems = [ask(scored, way, *each, by, measure) for each in asked]
                    figure, ceiling, regret = summarise(problems)
                    print(
                        f"  {question} | trained {measure} | {way}, {by}: ρ {figure}, seeds "
                        f"allow {ceiling:.2f}, regret {100 * regret:.2f}"
                    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("beds", nargs="*", metavar="BED", help=f"of {', '.join(BEDS)}")
    parser.add_argument("--scratch", type=Path, default=Path(".bench/task"))
    options = parser.parse_args()
    for name in options.beds or BEDS:
        print_table(name, score_bed(name, options.scratch))


if __name__ == "__main__":
    main()
