"""A candidate's benchmark in process, against one process of lm-eval a candidate: CPU seconds.

Process: ``lm_eval`` on the saved merge, from its start to its figures; saving is not counted.
In process: the task is open and its requests are built; the candidate is merged into the live model
and measured, prompts read once for all choices. Both must give the same figures, and the same
likelihoods to the first requests. A script beside them tells what of the process is start, load and
building of requests; the rest is their answers.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from benchmarks.claims import Claim, save_claims
from benchmarks.disk_route import MODELS
from benchmarks.models import DEMO, add_scratch_option, scratch_folder
from benchmarks.processes import BATCH_SEQUENCES, run_process

from mixwise.evaluation.harness.sets import TaskChoices
from mixwise.evaluation.suite import EvaluationSuite, PreparedSuite
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import LINEAR
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.recipe import load_recipe
from mixwise.study.inputs import Inputs, Settings

_N_CHOICES = 4
_N_CANDIDATES = 3  # the first opens what the others find open
_REQUESTS: Mapping[str, Sequence[int]] = {"1M": (400, 2_000), "135M": (400, 2_000)}
_GOALS = {("135M", 2_000): 5.0}
_TASK = "glosses"
_MEASURES = ("acc", "acc_norm")
_DEFINITION_CHARACTERS = 60
_TOLERANCE = 1e-3  # nats of an answer


@dataclass(frozen=True, slots=True)
class Answered:
    """Figures of one candidate, the CPU seconds that they took, and what they are made of.

    Args:
        figures: By measure.
        seconds: CPU seconds.
        log_likelihoods: Of the first requests or of all, in nats.
    """

    figures: Mapping[str, float]
    seconds: float
    log_likelihoods: Sequence[float]


@dataclass(frozen=True, slots=True)
class Process:
    """What a process of lm-eval took, in CPU seconds, and what it answered."""

    answered: Answered
    parts: Mapping[str, float]


def write_task(folder: Path, n_requests: int) -> Path:
    """Write a task that asks for words by their definitions; gives the folder of its YAML file."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = _documents(n_requests // _N_CHOICES)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {
        "task": _TASK,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / "rows.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{definition}}:",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "metric_list": [{"metric": measure} for measure in _MEASURES],
        "metadata": {"version": 1},
    }
    (folder / f"{_TASK}.yaml").write_text(yaml.safe_dump(settings))
    return folder


def _documents(n: int) -> list[dict[str, object]]:
    """Words of the demo's glosses, each with its definition among three other words."""
    with gzip.open(DEMO / "data" / "glosses.jsonl.gz", "rt", encoding="utf-8") as file:
        lines = [line for row in file for line in json.loads(row)["text"].splitlines()]
    pairs = [line.partition(": ")[::2] for line in lines if ": " in line]
    defined = {word.split(",")[0]: text[:_DEFINITION_CHARACTERS].strip() for word, text in pairs}
    rng, words = random.Random(0), sorted(defined)
    rows: list[dict[str, object]] = []
    for word in rng.sample(words, n):
        choices = rng.sample([w for w in rng.sample(words, 8) if w != word], _N_CHOICES - 1)
        choices.insert(rng.randrange(_N_CHOICES), word)
        rows.append(
            {"definition": defined[word], "choices": choices, "answer": choices.index(word)}
        )
    return rows


def in_process(
    pool: ExpertPool, mixtures: Sequence[Mixture], tasks: Path, tokenizer: Path
) -> list[Answered]:
    """Merge and measure each mixture; the model stays that of the last."""
    recipe = {
        "base": str(tokenizer),
        "domains": {name: {"files": f"{name}.jsonl"} for name in mixtures[0].domains},
        "horizon_tokens": 10**6,
        "evaluation": {
            "sets": {
                _TASK: {
                    "kind": "lm-eval",
                    "task": _TASK,
                    "include_path": str(tasks),
                    "documents": "all",
                    "measures": list(_MEASURES),
                }
            }
        },
    }
    (tasks / "recipe.json").write_text(json.dumps(recipe))
    inputs = Inputs(load_recipe(tasks / "recipe.json"), Settings(tasks, tasks / "tokens"))
    chosen = inputs.build_set(_TASK)
    assert isinstance(chosen, TaskChoices)
    prepared = PreparedSuite.of(EvaluationSuite((chosen,), BATCH_SEQUENCES), pool.live.module)
    answers = []
    for mixture in mixtures:
        started = time.process_time()
        pool.merge(mixture, LINEAR)
        nats = prepared.reading(chosen).nats(pool.live.module)
        found = {m.metric.partition("/")[2]: m.value for m in chosen.measure(nats)}
        answers.append(Answered(found, time.process_time() - started, (-nats).tolist()))
    return answers


def by_process(folder: Path, tasks: Path, n_requests: int) -> Process:
    """Let ``lm_eval`` measure a checkpoint, and a script tell what its parts take."""
    results = folder / "results"
    shutil.rmtree(results, ignore_errors=True)
    options = {
        "--model": "hf",
        "--model_args": f"pretrained={folder},dtype=float32",
        "--tasks": _TASK,
        "--include_path": tasks,
        "--device": "cpu",
        "--batch_size": BATCH_SEQUENCES,
        "--output_path": results,
    }
    command = [sys.executable, "-m", "lm_eval", "run"]
    _, seconds = run_process([*command, *(part for option in options.items() for part in option)])
    [file] = results.rglob("results_*.json")
    found = json.loads(file.read_text())["results"][_TASK]
    script = Path(__file__).with_name("harness_parts.py")
    out, _ = run_process([sys.executable, script, folder, tasks, _TASK])
    told = json.loads(out.splitlines()[-1])
    if told["n"] != n_requests:
        raise SystemExit(f"lm-eval built {told['n']} requests, but {n_requests} are meant")
    figures = {measure: float(found[f"{measure},none"]) for measure in _MEASURES}
    answers = seconds - sum(told["parts"].values())
    return Process(
        Answered(figures, seconds, told["answers"]), {**told["parts"], "answers": answers}
    )


def compare(size: str, n_requests: int, scratch: Path) -> list[Claim]:
    """The rows of one model size and one number of requests."""
    experts = MODELS[size](scratch)
    names = tuple(experts.folders)
    shares = np.random.default_rng(0).dirichlet(np.ones(len(names)), _N_CANDIDATES)
    mixtures = [Mixture(names, tuple(row)) for row in shares]
    opened = {name: open_checkpoint(folder) for name, folder in experts.folders.items()}
    live = LiveModel.load(open_checkpoint(experts.base))
    pool = ExpertPool(live, opened, folder=scratch / "store" / size)
    tasks = write_task(scratch / "tasks" / f"{size}-{n_requests}", n_requests)
    ours = in_process(pool, mixtures, tasks, DEMO / "base")
    saved = scratch / "candidates" / f"{size}-{n_requests}"
    live.module.save_pretrained(saved)
    for file in (DEMO / "base").glob("tokenizer*"):  # all models read the demo's tokens
        shutil.copy(file, saved)
    del live, pool
    process = by_process(saved, tasks, n_requests)
    require_same(ours[-1], process.answered)
    seconds = [answer.seconds for answer in ours[1:]]
    row = f"{size}, {n_requests:,} requests"
    print(f"{row}: in process {seconds}, lm_eval {process.answered.seconds}", flush=True)
    return _claims(row, seconds, process, _GOALS.get((size, n_requests)))


def require_same(ours: Answered, theirs: Answered) -> None:
    """Stop where the two do not find the same: their times could not be compared."""
    pairs = zip(ours.log_likelihoods, theirs.log_likelihoods, strict=False)
    if ours.figures != theirs.figures or any(abs(a - b) > _TOLERANCE for a, b in pairs):
        raise SystemExit(
            f"lm_eval finds {theirs.figures}, but mixwise {ours.figures}, or likelihoods differ: "
            "they do not measure the same"
        )


def _claims(row: str, ours: Sequence[float], process: Process, goal: float | None) -> list[Claim]:
    """The ratio, and the parts of it."""
    middle, whole = float(np.median(ours)), process.answered.seconds
    ratio = Claim(
        f"{row}: lm_eval's process ÷ in process",
        whole / middle,
        whole / max(ours),
        whole / min(ours),
        n=len(ours),
        at_least=goal,
    )
    shares = {name: seconds / middle for name, seconds in process.parts.items()}
    parts = [Claim(f"{row}: of it {name}", v, v, v, n=1) for name, v in shares.items()]
    return [ratio, *parts]


def main() -> None:
    """Measure every size and number of requests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=_REQUESTS, default=list(_REQUESTS))
    add_scratch_option(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with scratch_folder(given.scratch) as scratch:
        claims = [
            claim
            for size in given.sizes
            for n_requests in _REQUESTS[size]
            for claim in compare(size, n_requests, scratch)
        ]
    save_claims("harness", claims, n_choices=_N_CHOICES, batch_sequences=BATCH_SEQUENCES)


if __name__ == "__main__":
    main()
