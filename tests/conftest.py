"""Pico parts that many tests share: a base model, three small domains, a recipe over them."""

from __future__ import annotations

import gc
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from tests.command_line import run_here

if TYPE_CHECKING:
    from playwright.sync_api import Browser

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")

BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-sync",
]


def pytest_collection_finish() -> None:
    """Let the collector pass over what the imports have made: half a million objects, each time."""
    gc.collect()
    gc.freeze()


WORDS = {
    "alpha": ["a", "b", "c", "d", "e", "f", "g", "h"],
    "beta": ["one", "two", "three", "four", "five", "six", "seven", "eight"],
    "gamma": ["un", "deux", "trois", "quatre", "cinq", "sept", "huit", "neuf"],
}

RECIPE = """\
base: base
domains:
  alpha: {files: alpha.jsonl}
  beta: {files: beta.jsonl}
  gamma: {files: gamma.jsonl}
horizon_tokens: 256
sequence_length: 16
evaluation:
  sets:
    mixed: {files: mixed.jsonl}
    quiz: {files: quiz.jsonl, kind: choice}
  max_sequences: 8
  batch_sequences: 4
training: {learning_rate: 3.0e-3, batch_sequences: 4, warmup_steps: 1, device: cpu}
objective:
  metrics: [{set: mixed, measure: loss}, {set: alpha, measure: loss}]
budget: 100
proxy: {answer: merged}
calibration: {mixtures: 2, seeds: 1}
validation: {mixtures: 4, seeds: 2}
verify: true
engine: {workers: 1, threads: 1}
"""


def sentences(name: str, seed: int, n: int) -> list[str]:
    rng = random.Random(f"{name}{seed}")
    return [" ".join(rng.choices(WORDS[name], k=rng.randint(8, 24))) + "." for _ in range(n)]


@pytest.fixture(scope="session")
def pico_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of some 10,000 parameters with dropout, and a byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("pico") / "base"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([s for name in WORDS for s in sentences(name, 9, 50)], trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>").save_pretrained(folder)
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
        attention_dropout=0.1,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def calm_base(pico_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pico base without dropout."""
    folder = Path(shutil.copytree(pico_base, tmp_path_factory.mktemp("calm") / "base"))
    config = (folder / "config.json").read_text()
    assert '"attention_dropout": 0.1' in config
    (folder / "config.json").write_text(config.replace('dropout": 0.1', 'dropout": 0.0'))
    return folder


@pytest.fixture(scope="session")
def pico_source(tmp_path_factory: pytest.TempPathFactory, pico_base: Path) -> Path:
    """The base, three domains, two evaluation sets and a recipe; do not write to this folder."""
    folder = tmp_path_factory.mktemp("source")
    shutil.copytree(pico_base, folder / "base")
    for name in WORDS:
        write_texts(folder / f"{name}.jsonl", sentences(name, 0, 60))
    mixed = [
        a + " " + b
        for a, b in zip(sentences("alpha", 1, 12), sentences("gamma", 1, 12), strict=True)
    ]
    write_texts(folder / "mixed.jsonl", mixed)
    quiz = [
        {"prompt": f"one two {k}", "choices": [" three", " trois", " c"], "answer": k % 3}
        for k in range(6)
    ]
    write_rows(folder / "quiz.jsonl", quiz)
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


@pytest.fixture
def pico(pico_source: Path, tmp_path: Path) -> Path:
    """A copy of the pico folder that a test may change."""
    return Path(shutil.copytree(pico_source, tmp_path / "source"))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the token cache of tests away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXWISE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def started_browser() -> Iterator[Browser]:
    """A real one, started once."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.fail(f"none of {', '.join(names)} is installed: the report must be seen in one")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=BROWSER_FLAGS)
        yield started
        started.close()


@pytest.fixture
def browser(started_browser: Browser) -> Iterator[Browser]:
    """The browser; its windows are closed after each test, since open ones go on computing."""
    yield started_browser
    for context in started_browser.contexts:
        context.close()


@pytest.fixture
def mixwise(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process; gives exit code, stdout and stderr."""
    from mixwise.cli.app import main

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["mixwise", *map(str, arguments)])
        code = 0
        capfd.readouterr()
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return call


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_texts(path: Path, texts: list[str]) -> None:
    write_rows(path, [{"text": text} for text in texts])


@pytest.fixture(scope="session")
def finished(pico_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that has run to its end, uninterrupted."""
    study = tmp_path_factory.mktemp("finished") / "study"
    said = run_here("run", pico_source / "recipe.yaml", "--study", study)
    (study.parent / "stderr.txt").write_text(said)
    return study
