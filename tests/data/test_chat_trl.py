"""The same rows through TRL's trainer: same tokens, and the same ones learned."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.data.templates import FAMILIES, Family, save_tokenizer

from mixwise.data.chat_template import ChatTemplate, Learn
from mixwise.data.pieces import supervised_tokens
from mixwise.data.tokenizer import BaseTokenizer
from mixwise.records.chat import ChatFields, reader, recognise
from mixwise.records.row import FileRow

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("trl") is None,
    reason="trl is of the extra dev, as it needs newer releases",
)
TURNS = [
    {"role": "user", "content": "Hi, é?"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "2+2 "},
    {"role": "assistant", "content": "4"},
]
ROWS: list[dict[str, Any]] = [{"messages": TURNS}, {"messages": TURNS[:2]}]
PAIRS: list[dict[str, Any]] = [{"prompt": TURNS[:3], "completion": TURNS[3:]}]
OWN = ("cohere", "gemma", "gemma3", "llama3", "phi3", "phi3_5", "qwen3_instruct_2507")


def trl_labels(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> Iterator[list[int]]:
    """Labels of each row, as a trainer sees them; the ids that are not learned are -100."""
    import datasets
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
    from trl import SFTConfig, SFTTrainer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=len(tokenizer), num_attention_heads=1, **shape)  # type: ignore[arg-type]
    )
    config = SFTConfig(
        output_dir=str(folder / "out"), use_cpu=True, bf16=False, report_to=[], max_length=None,
        gradient_checkpointing=None,  # True by default, by a name that is deprecated
        **settings,
    )  # fmt: skip
    trainer = SFTTrainer(
        model, config, train_dataset=datasets.Dataset.from_list(rows), processing_class=tokenizer
    )
    for row in trainer.train_dataset:
        learned = row["labels"] if "labels" in row else row["input_ids"]
        yield [*row["input_ids"], -1, *learned]


def own_labels(folder: Path, rows: Sequence[dict[str, Any]], learn: Learn) -> Iterator[list[int]]:
    tokenizer = BaseTokenizer(folder, bos="never")
    template = ChatTemplate(tokenizer)
    for number, row in enumerate(rows, start=1):
        read = reader(ChatFields(**(recognise(row) or {})), "domains.d").read
        document = template.render(read(FileRow(row, "d.jsonl", number)), learn)
        [(ids, sizes)] = tokenizer.encode([document.text])
        mask = supervised_tokens(document.text, sizes, document.supervised)
        yield [*ids, -1, *(i if m else -100 for i, m in zip(ids, mask, strict=True))]


@pytest.mark.parametrize("name", FAMILIES)
def test_answers_of_each_family_are_learned_as_trl_learns_them(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    texts = {marked: family.template(marked=marked) for marked in (False, True)}
    plain, marked = (
        save_tokenizer(tmp_path / str(is_marked), family, template=text)
        for is_marked, text in texts.items()
    )
    expected = list(trl_labels(marked, ROWS, assistant_only_loss=True))
    assert list(own_labels(marked, ROWS, "assistant")) == expected
    assert list(own_labels(plain, ROWS, "assistant")) == expected
    assert all(-100 in labels and labels[-2:] != [-100, -100] for labels in expected)
    completions = list(trl_labels(plain, PAIRS))
    assert list(own_labels(plain, PAIRS, "completion")) == completions
    assert list(own_labels(plain, PAIRS, "assistant")) == completions
    assert list(own_labels(plain, ROWS, "all")) == list(trl_labels(plain, ROWS))


@pytest.mark.parametrize("name", OWN)
def test_stock_templates_give_what_trl_trains_on_by_its_marked_ones(
    name: str, tmp_path: Path
) -> None:
    import trl

    folder = Path(trl.__file__).parent / "chat_templates"
    stock, training = (
        (folder / f"{file}.jinja").read_text(encoding="utf-8")
        for file in (name, f"{name}_training")
    )
    family = Family("", FAMILIES["phi3"].tokens + FAMILIES["qwen"].tokens[1:], "<|end|>", "<s>")
    plain = save_tokenizer(tmp_path / "plain", family, template=stock)
    marked = save_tokenizer(tmp_path / "marked", family, template=training)
    expected = list(trl_labels(marked, ROWS, assistant_only_loss=True))
    assert list(own_labels(plain, ROWS, "assistant")) == expected


def test_trl_learns_the_line_end_before_an_answer_of_qwen_too(tmp_path: Path) -> None:
    import trl

    folder = Path(trl.__file__).parent / "chat_templates"
    family = FAMILIES["qwen"]
    plain, marked = (
        save_tokenizer(tmp_path / file, family, template=(folder / f"{file}.jinja").read_text())
        for file in ("qwen2_5", "qwen2_5_training")
    )
    line_end = BaseTokenizer(plain).tokenizer.encode("\n")
    rows = zip(
        own_labels(plain, ROWS, "assistant"),
        trl_labels(marked, ROWS, assistant_only_loss=True),
        strict=True,
    )
    for n_answers, (own, other) in zip((2, 1), rows, strict=True):
        differing = [(a, b) for a, b in zip(own, other, strict=True) if a != b]
        assert differing == [(-100, *line_end)] * n_answers
