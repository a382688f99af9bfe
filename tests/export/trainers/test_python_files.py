"""torchtitan and `datasets` are handed modules of Python."""

import ast
from pathlib import Path

import pytest
from tests.export.studies import hand, handed

from mixwise.export.trainers.huggingface import HUGGINGFACE
from mixwise.export.trainers.torchtitan import TORCHTITAN


def test_torchtitan_draws_sequences_by_shares_of_tokens() -> None:
    mixture = hand(handed("a", 0.75, n_rows=40, mean=5), handed("b", 0.25, n_rows=9, mean=99))
    text = "\n".join(TORCHTITAN.render(mixture, Path("x.py")).lines)
    ast.parse(text)
    assert "HFDataSource(dataset='mixwise_a', infinite=True, weight=0.75)" in text
    assert "steps = 15" in text


def test_interleaved_rows_have_the_shares_and_never_run_out(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    for name, n_rows, text in (("a", 60, "x"), ("b", 500, "y")):
        rows = '{"text": "' + text + '"}\n'
        (tmp_path / f"{name}.jsonl").write_text(rows * n_rows)
    mixture = hand(
        handed("a", 0.5, n_rows=60, mean=50, horizon=8000, files=(tmp_path / "a.jsonl",)),
        handed("b", 0.5, n_rows=500, mean=10, horizon=8000, files=(tmp_path / "b.jsonl",)),
    )
    made = HUGGINGFACE.render(mixture, tmp_path / "x.py")
    assert made.weights == {"a": 80 / 480, "b": 400 / 480}
    datasets.disable_progress_bars()
    module: dict[str, object] = {}
    exec("\n".join(made.lines), module)
    drawn = module["mixture"]["text"]  # type: ignore[index]
    assert len(drawn) == 480
    assert 60 < list(drawn).count("x") < 100
