"""mergekit, lm-eval and a plain script as processes: what they answer, and the CPU they take."""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from benchmarks.models import DEMO

from mixwise.mixture import Mixture

BATCH_SEQUENCES = 8
_INSTALL_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Text:
    """What is evaluated.

    Args:
        sequences: An end-of-text token and the text's tokens, shape ``(n, 128)``.
        texts: The same as text.
    """

    sequences: np.ndarray
    texts: tuple[str, ...]

    @property
    def n_bytes(self) -> np.ndarray:
        """UTF-8 bytes of each text."""
        return np.array([len(text.encode()) for text in self.texts])

    def bits_per_byte(self, nats: float) -> float:
        """The metric that all ways are compared by."""
        return nats / (math.log(2) * float(self.n_bytes.sum()))


@dataclass(frozen=True, slots=True)
class Answer:
    """What one way said of one candidate, and the CPU seconds of its processes."""

    bits_per_byte: float
    seconds: float


def write_candidate(
    mergekit: Path, experts: Mapping[str, Path], mixture: Mixture, folder: Path
) -> float:
    """Let mergekit write a merged checkpoint; gives CPU seconds."""
    models = [
        {"model": str(experts[name]), "parameters": {"weight": share}}
        for name, share in zip(mixture.domains, mixture.shares, strict=True)
    ]
    recipe = {"merge_method": "linear", "dtype": "float32", "models": models}
    folder.with_suffix(".yaml").write_text(yaml.safe_dump(recipe))
    _, seconds = run_process([mergekit, folder.with_suffix(".yaml"), folder])
    for file in (DEMO / "base").glob("tokenizer*"):  # all models read the demo's tokens
        shutil.copy(file, folder)
    return seconds


def evaluate_in_new_process(folder: Path, text: Text, scratch: Path) -> Answer:
    """Load and evaluate a checkpoint as a script of its own."""
    file = scratch / "sequences.npy"
    np.save(file, text.sequences)
    script = Path(__file__).with_name("evaluate_folder.py")
    out, seconds = run_process([sys.executable, script, folder, file])
    return Answer(text.bits_per_byte(float(out.split()[-1])), seconds)


def evaluate_by_lm_eval(lm_eval: Path, folder: Path, text: Text, scratch: Path) -> Answer:
    """Evaluate a checkpoint by lm-eval, as a local task."""
    task, results = scratch / "task", scratch / "lm-eval"
    task.mkdir(exist_ok=True)
    shutil.rmtree(results, ignore_errors=True)
    lines = [json.dumps({"text": one}) + "\n" for one in text.texts]
    (task / "texts.jsonl").write_text("".join(lines))
    settings = {
        "task": "local_text",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(task / "texts.jsonl")}},
        "test_split": "test",
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
        "metric_list": [{"metric": "bits_per_byte"}],
    }
    (task / "local_text.yaml").write_text(yaml.safe_dump(settings))
    options = {
        "--model": "hf",
        "--model_args": f"pretrained={folder},dtype=float32",
        "--tasks": "local_text",
        "--include_path": task,
        "--device": "cpu",
        "--batch_size": BATCH_SEQUENCES,
        "--output_path": results,
    }
    _, seconds = run_process([lm_eval, *(part for option in options.items() for part in option)])
    [file] = results.rglob("results_*.json")
    found = json.loads(file.read_text())["results"]["local_text"]
    return Answer(float(found["bits_per_byte,none"]), seconds)


def find_tool(command: str, package: str, scratch: Path) -> Path | None:
    """A tool's command: on the path, or in an environment of its own, made where it is missing."""
    found = shutil.which(command)
    if found is not None:
        return Path(found)
    folder = scratch / "tools" / command
    path = folder / "bin" / command
    if path.exists():
        return path
    print(f"installing {package} in {folder}", flush=True)
    try:
        venv.create(folder, with_pip=True)
        torch_release = torch.__version__.partition("+")[0]
        pip = str(folder / "bin" / "pip")
        install = [pip, "install", "-q", f"torch=={torch_release}", package]
        subprocess.run(install, check=True, timeout=_INSTALL_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"{package} cannot be installed ({error}): its rows are left out", flush=True)
        return None
    return path


def run_process(command: Sequence[object]) -> tuple[str, float]:
    """Run a process to its end; gives its output, and CPU seconds of it and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(part) for part in command],
        env=os.environ | offline | {"MKL_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return done.stdout, user + system
