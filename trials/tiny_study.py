"""The smallest whole study: its data, base and recipe, and commands that work in it.

A command runs in a fork of this process, which has imported what takes seconds.
"""

from __future__ import annotations

import gc
import json
import os
import random
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing.util import _run_finalizers
from pathlib import Path

RECIPE = """\
base: base
domains: {alpha: {files: alpha.jsonl}, beta: {files: beta.jsonl}, gamma: {files: gamma.jsonl}}
horizon_tokens: 256
sequence_length: 16
evaluation: {max_sequences: 8, batch_sequences: 4}
training:
  learning_rate: 3.0e-3
  batch_sequences: 4
  warmup_steps: 1
  device: cpu
  trajectory_checkpoints: 1
budget: 100
proxy: {answer: both}
calibration: {mixtures: 1, seeds: 1}
validation: {mixtures: 4, seeds: 1}
final: {train: true, seeds: 1, baselines: [uniform]}
engine: {workers: 1, threads: 1}
"""
WORDS = {"alpha": "a b c d e f g h", "beta": "one two three four five", "gamma": "un deux trois"}


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def is_unexpected(self) -> bool:
        """Whether it is none of our own endings: a traceback, or what we call a defect."""
        return bool(re.search(r"Traceback|unexpected|defect", self.out + self.err))


def write_source_in_new_process(folder: Path) -> None:
    """Write data, base and recipe of the study into a new folder; see `write_source`."""
    in_new_process(partial(write_source, folder))


def call(source: Path, place: Path, command: Sequence[str]) -> Outcome:
    """Run a command of mixwise in the study of a place, with the token cache beside it.

    Args:
        source: Folder of the recipe.
        place: Folder of ``study/`` and ``cache/``.
        command: Its name and options; ``run`` gets the recipe.
    """
    return in_new_process(partial(run_cli, place, arguments_of(source, place, command)))


def arguments_of(source: Path, place: Path, command: Sequence[str]) -> list[str]:
    """The whole command line, without ``mixwise``."""
    study, recipe = str(place / "study"), str(source / "recipe.yaml")
    first = [recipe, "--study", study] if command[0] == "run" else [study]
    return [command[0], *first, *command[1:]]


def run_cli(place: Path, arguments: Sequence[str]) -> None:
    """Be the command line, in this process."""
    os.environ["MIXWISE_CACHE"] = str(place / "cache")
    from mixwise.cli.app import main

    sys.argv = ["mixwise", *arguments]
    main()


def in_new_process(function: Callable[[], None]) -> Outcome:
    """Run a function in a fork of this process, which has imported what takes seconds."""
    _import_once()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = os.fork()
        if not process:
            code = 70
            try:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                function()
                code = 0
            except SystemExit as stop:
                code = int(stop.code or 0)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                _run_finalizers()  # a fork that ends so does not, and its locks would be missed
                os._exit(code)
        _, status = os.waitpid(process, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
        return Outcome(os.waitstatus_to_exitcode(status), *texts)


@cache
def _import_once() -> None:
    """Import what a fork need not import again, and let the collector pass over it."""
    import mixwise.api
    import mixwise.cli.app
    import mixwise.report.page
    import mixwise.scoring.worker.evaluator
    import mixwise.stages.diagnose
    import mixwise.stages.run
    import mixwise.stages.score
    import mixwise.stages.verify
    import mixwise.study.session
    import mixwise.training.finetune  # noqa: F401

    gc.collect()
    gc.freeze()


def write_source(folder: Path) -> None:
    """Write data, base and recipe of the study into a new folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder.mkdir()
    rng = random.Random(0)
    texts = {
        name: [" ".join(rng.choices(words.split(), k=rng.randint(8, 24))) for _ in range(60)]
        for name, words in WORDS.items()
    }
    for name, rows in texts.items():
        lines = [json.dumps({"text": f"{row} {number}."}) for number, row in enumerate(rows)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|end|>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator([row for rows in texts.values() for row in rows], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")
    fast.save_pretrained(folder / "base")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder / "base")
    (folder / "recipe.yaml").write_text(RECIPE)
