"""The folder that pages are run in: three domains, evaluation sets, a recipe and a short study."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from tests.command_line import run_here
from tests.conftest import sentences, write_rows, write_texts

PICO_OF = {"math": "alpha", "code": "beta", "web": "gamma"}
RECIPE = """\
base: base
domains:
  math: {files: math.jsonl}
  code: {files: code.jsonl}
  web: {files: web.jsonl}
horizon_tokens: 256
sequence_length: 16
evaluation:
  sets:
    manual: {files: eval/manual.jsonl}
    quiz: {files: eval/quiz.jsonl, kind: choice}
  max_sequences: 8
  batch_sequences: 4
training: {learning_rate: 3.0e-3, batch_sequences: 4, warmup_steps: 1, device: cpu}
objective:
  metrics: [{set: manual, measure: loss}, {set: math, measure: loss}]
budget: 2
engine: {workers: 1, threads: 1}
"""


def make_world(folder: Path, base: Path) -> Path:
    """Write it, and run the study.

    Args:
        folder: Where it is written.
        base: Folder of the pico base.
    """
    shutil.copytree(base, folder / "base")
    (folder / "eval").mkdir()
    for name, pico in PICO_OF.items():
        write_texts(folder / f"{name}.jsonl", sentences(pico, 0, 60))
    write_texts(folder / "eval" / "manual.jsonl", sentences("gamma", 1, 12))
    quiz = [
        {"prompt": f"one two {k}", "choices": [" three", " trois", " c"], "answer": k % 3}
        for k in range(6)
    ]
    write_rows(folder / "eval" / "quiz.jsonl", list(quiz))
    (folder / "recipe.yaml").write_text(RECIPE)
    with contextlib.chdir(folder):
        run_here("run", "recipe.yaml", "--study", "study")
    return folder
