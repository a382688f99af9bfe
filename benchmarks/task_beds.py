"""Labelled beds by the product itself: recipes with `task:`, every subset trained, a head each too.

    python -m benchmarks.task_beds [BED …] [--parts 2 7 …] [--scratch .bench/task]

Each bed is a folder with a recipe, a small base and data that packages bring. The product trains
experts and all references, merges and scores; the script names mixtures and compares. A killed
script goes on where it was.

    sentiment  two labels, four sources (`benchmarks.truth.labelled`). Targets: the test rows of
               each source, by all subsets of the other three, as in `benchmarks.merge_to_mix`.
    digits     ten labels, four ways to draw scikit-learn's digits (images), likewise.
    heads      three domains with five, three and two labels, a head each (`examples.heads`), all
               subsets and 8 mixtures of all three. Targets: the held-out rows of each by its own
               head; their mean; tweets, by the newspapers' head.

Method:
    Runs of 120 steps of 32 examples, three seeds. *merge*: of experts of whole runs, Merge to Mix
    by their accuracy. *mixwise*: the default, of experts of a quarter of a run. ρ is Spearman's
    with the accuracy, or minus the loss, of trained models, the mean over targets, with 95 %
    bootstrap intervals over mixtures, beside what the seeds allow; regret is in points of accuracy
    or hundredths of a nat. *all heads kept* scores merges with the heads of absent domains too, by
    shares of a billionth. ``--parts 7`` adds experts of a seventh of a run, by merges and by
    predictions, both continued; with a head each by merges, continued and not.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.merge_to_mix import Figure
from benchmarks.truth.labelled import LABELLED_BEDS, write_labelled
from examples.heads import make_data as heads_data
from examples.sentiment import make_data as sentiment_data
from examples.vision import make_data as vision_data

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
_N_RATIOS = 8
_N_BOOTSTRAP = 2000
_LITTLE = 1e-9  # a share that trains nothing and keeps a head
_RECIPE = """\
base: base
task: {task}
{keys}
domains:
{domains}
horizon_examples: {horizon}
budget: 100
heldout: {{overlap: drop}}
evaluation:
  sets:
{sets}
  max_sequences: 400
  batch_sequences: 100
training: {{learning_rate: {rate}, batch_sequences: {batch}, warmup_steps: 5, device: cpu}}
experts: {{horizon_tokens: {experts}, halvings: {halvings}}}
proxy: {{answer: {answer}, continued: {continued}}}
calibration: {{mixtures: 0}}
engine: {{workers: 1, threads: 1}}
"""


@dataclass(frozen=True, slots=True)
class Way:
    """How a bed's mixtures are answered.

    Args:
        name: What tables and folders call it.
        part: Steps of a run over those of the experts.
        answer: Value of ``proxy.answer``.
        is_continued: Whether scores are continued to the end of a run.
    """

    name: str
    part: int
    answer: str
    is_continued: bool


PUBLISHED = Way("merge", 1, "merged", is_continued=False)
DEFAULT = Way("mixwise", 4, "auto", is_continued=True)


@dataclass(frozen=True, slots=True)
class TaskBed:
    """A bed as a recipe reads it.

    Args:
        task: Name of the task.
        keys: Further lines of the recipe.
        rate: Learning rate, that of the task's example.
        domains: Files by domain.
        sets: Sets outside the domains: what stands behind their names.
        has_heads: Whether domains have labels of their own.
        write: Writes data and base into a folder.
    """

    task: str
    keys: str
    rate: float
    domains: Mapping[str, str]
    sets: Mapping[str, str]
    has_heads: bool
    write: Callable[[Path], None]

    def recipe(self, way: Way) -> str:
        """What is asked in one way."""
        return _RECIPE.format(
            task=self.task,
            keys=self.keys,
            domains="\n".join(f"  {k}: {{files: {v}}}" for k, v in self.domains.items()),
            sets="\n".join(f"    {k}: {{{v}, kind: labels}}" for k, v in self.sets.items()),
            horizon=STEPS * BATCH,
            rate=self.rate,
            batch=BATCH,
            experts=STEPS // way.part * BATCH,
            halvings=2 * way.is_continued,
            answer=way.answer,
            continued=str(way.is_continued).lower(),
        )

    def ways_of(self, part: int) -> tuple[Way, Way]:
        """Two ways to ask experts of a part of a run."""
        merged = Way(f"merged, 1 of {part}", part, "merged", is_continued=True)
        if self.has_heads:
            return merged, Way(f"not continued, 1 of {part}", part, "merged", is_continued=False)
        return merged, Way(f"predictions, 1 of {part}", part, "predictions", is_continued=True)


def _write_sentiment(folder: Path) -> None:
    _link("sentiment", folder)
    root = sentiment_data.fetch(folder.parent / "packages" / "packages")
    files = sorted((folder / "train").glob("*.jsonl"))
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    words = list(sentiment_data.read_words(root))
    sentiment_data.make_base(folder / "base", words, [json.loads(line)["text"] for line in lines])


def _write_digits(folder: Path) -> None:
    vision_data.make_base(folder / "base", list(_drawings(_link("digits", folder) / "base")))


def _drawings(folder: Path) -> Iterator[vision_data.Drawing]:
    from PIL import Image

    for file in sorted(folder.glob("*/*/*.png")):
        name = f"{file.stem}-{file.parent.parent.name}"
        image = Image.open(file).convert("RGB")
        yield vision_data.Drawing("base", file.parent.name, name, image)


def _write_heads(folder: Path) -> None:
    heads_data.write_study(folder, sentiment_data.fetch(folder.parent / "packages" / "packages"))


def _link(bed: str, folder: Path) -> Path:
    """Let a bed's folder name the parts of the labelled bed; where that lies."""
    source = write_labelled(bed, folder.parent / "packages")
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        if not (folder / part).exists():
            (folder / part).symlink_to(os.path.relpath((source / part).resolve(), folder.resolve()))
    return source


def _left_out(
    bed: str, task: str, keys: str, rate: float, write: Callable[[Path], None]
) -> TaskBed:
    """A bed whose targets are the test rows of each domain."""
    suffix = ".jsonl" if LABELLED_BEDS[bed].kind == "texts" else ""
    names = LABELLED_BEDS[bed].domains
    return TaskBed(
        task,
        keys,
        rate,
        {name: f"train/{name}{suffix}" for name in names},
        {f"test-{name}": f"files: test/{name}{suffix}" for name in names},
        has_heads=False,
        write=write,
    )


_WIDTH = "example_tokens: 64"
BEDS: Mapping[str, TaskBed] = {
    "sentiment": _left_out("sentiment", "text-classification", _WIDTH, 3e-4, _write_sentiment),
    "digits": _left_out("digits", "image-classification", "", 5e-4, _write_digits),
    "heads": TaskBed(
        "text-classification",
        f"{_WIDTH}\nlabels: per-domain",
        3e-4,
        {name: f"data/{name}.jsonl" for name in heads_data.DOMAINS},
        {heads_data.TARGET: f"files: data/{heads_data.TARGET}.jsonl, head: newspaper"},
        has_heads=True,
        write=_write_heads,
    ),
}


def open_study(folder: Path, bed: TaskBed, way: Way) -> Workspace:
    """The study of a bed in one way, its experts trained."""
    study = StudyFolder.create(folder / way.name.replace(", ", "-"), folder / "recipe.yaml")
    study.save_recipe(bed.recipe(way))
    workspace = Workspace(study, Settings(recipe_folder=folder, cache=folder / "cache"))
    workspace.runs.train_experts()
    return workspace


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What a bed's mixtures scored.

    Args:
        mixtures: All of them; all subsets first.
        truth: Of trained models, by mixture and seed.
        ways: Of each way, by mixture.
    """

    mixtures: tuple[Mixture, ...]
    truth: tuple[tuple[Observation, ...], ...]
    ways: Mapping[str, tuple[Observation, ...]]


def score_bed(name: str, scratch: Path, parts: Sequence[int] = ()) -> Scored:
    """Write a bed, train and score all its mixtures.

    Args:
        name: The bed.
        scratch: Folder of beds.
        parts: Further lengths of the experts: steps of a run over theirs.
    """
    bed, folder = BEDS[name], scratch / name
    bed.write(folder)
    mixtures = list(subsets(tuple(bed.domains)))
    if bed.has_heads:
        draws = np.random.default_rng(0).dirichlet(np.ones(len(bed.domains)), _N_RATIOS)
        mixtures += [Mixture(tuple(bed.domains), tuple(row)) for row in draws.tolist()]
    published = open_study(folder, bed, PUBLISHED)
    truth = published.reference(SEEDS).runs(mixtures)
    ways = {PUBLISHED.name: published.proxy.score(mixtures)}
    if bed.has_heads:
        whole = [_with_all_heads(mixture) for mixture in mixtures]
        ways["merge, all heads kept"] = published.proxy.score(whole)
    published.close()
    for way in (DEFAULT, *(way for part in parts for way in bed.ways_of(part))):
        workspace = open_study(folder, bed, way)
        ways[way.name] = workspace.proxy.score(mixtures)
        workspace.close()
    return Scored(tuple(mixtures), truth, ways)


def _with_all_heads(mixture: Mixture) -> Mixture:
    shares = np.array([share or _LITTLE for share in mixture.shares])
    return Mixture(mixture.domains, tuple((shares / shares.sum()).tolist()))


@dataclass(frozen=True, slots=True)
class Question:
    """Which mixtures are ranked, and on which sets, their mean.

    Args:
        chosen: Places of the mixtures.
        sets: Names of evaluation sets.
    """

    chosen: tuple[int, ...]
    sets: tuple[str, ...]


def questions(name: str, mixtures: Sequence[Mixture]) -> dict[str, list[Question]]:
    """What is asked of a bed; the questions of one name are averaged."""
    domains, every = BEDS[name].domains, range(len(mixtures))
    if not BEDS[name].has_heads:
        left = {d: tuple(k for k in every if not mixtures[k].as_dict()[d]) for d in domains}
        return {"the one left out": [Question(left[d], (f"test-{d}",)) for d in domains]}
    places = {
        "all domains": tuple(k for k in every if min(mixtures[k].shares) > 0),
        "subsets": tuple(range(2 ** len(domains) - 1)),
    }
    sets = {
        "own sets": [(domain,) for domain in domains],
        "mean of own sets": [tuple(domains)],
        heads_data.TARGET: [(heads_data.TARGET,)],
    }
    return {
        f"{kind}, {label}": [Question(chosen, each) for each in asked]
        for kind, chosen in places.items()
        for label, asked in sets.items()
    }


@dataclass(frozen=True, slots=True)
class Agreement:
    """Means over questions: ρ with its interval, what the seeds allow, the regret of the pick."""

    rho: Figure
    ceiling: float
    regret: float


def agreement(
    scored: Scored, way: str, asked: Sequence[Question], by: str, measure: str
) -> Agreement:
    """How well a way ranks what was trained.

    Args:
        scored: The bed.
        way: One of its ways.
        asked: The questions.
        by: What the way measures.
        measure: What trained models are measured by.
    """
    rng, draws, ceilings, regrets = np.random.default_rng(0), [], [], []
    for question in asked:
        scores = np.array([_value(scored.ways[way][k], question, by) for k in question.chosen])
        runs = [scored.truth[k] for k in question.chosen]
        truth = np.array([[_value(run, question, measure) for run in each] for each in runs])
        mean: Array = truth.mean(axis=1)
        rows = rng.integers(0, len(mean), (_N_BOOTSTRAP, len(mean)))
        rows = np.concatenate([np.arange(len(mean))[None], rows])
        draws.append(spearman_rows(scores[rows], mean[rows]))
        ceiling = measure_fidelity(mean, truth, sign=1, seed=0).ceiling
        ceilings.append(np.nan if ceiling is None else ceiling)
        regrets.append(mean.max() - mean[int(scores.argmax())])
    figure = Figure.of(np.nanmean(draws, axis=0))
    return Agreement(figure, float(np.nanmean(ceilings)), float(np.mean(regrets)))


def _value(observation: Observation, question: Question, measure: str) -> float:
    sign = -1 if measure == "loss" else 1
    values = [observation.values[f"{name}/{measure}"] for name in question.sets]
    return sign * float(np.mean(values))


def print_table(name: str, scored: Scored) -> None:
    """One line a question, a measure of the truth, a way and what it measures."""
    print(f"{name}: {len(scored.mixtures)} mixtures, {len(SEEDS)} seeds")
    for label, asked in questions(name, scored.mixtures).items():
        for measure in ("accuracy", "loss"):
            for way in scored.ways:
                for by in ("accuracy", "loss"):
                    found = agreement(scored, way, asked, by, measure)
                    print(
                        f"  {label} ({len(asked[0].chosen)}) | {measure} | {way}, {by}: ρ "
                        f"{found.rho}, seeds allow {found.ceiling:.2f}, regret "
                        f"{100 * found.regret:.2f}",
                        flush=True,
                    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("beds", nargs="*", metavar="BED", help=f"of {', '.join(BEDS)}")
    parser.add_argument("--parts", type=int, nargs="*", default=(), help="of a run: experts too")
    parser.add_argument("--scratch", type=Path, default=Path(".bench/task"))
    options = parser.parse_args()
    for name in options.beds or BEDS:
        print_table(name, score_bed(name, options.scratch, options.parts))


if __name__ == "__main__":
    main()
