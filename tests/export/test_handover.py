from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.export.studies import hand, handed


def test_tokens_become_rows_by_the_mean_tokens_of_a_row() -> None:
    mixture = hand(
        handed("short", 0.5, n_rows=400, mean=5), handed("long", 0.5, n_rows=10, mean=100)
    )
    short, long = mixture.domains
    assert (short.rows("whole"), long.rows("whole")) == (100, 5)
    assert (short.epochs("whole"), long.epochs("whole")) == (0.25, 0.5)
    assert mixture.row_shares("whole") == {"short": 100 / 105, "long": 5 / 105}
    assert long.rows("cut") == 5  # texts are packed or split
    talks = handed("talks", 0.5, n_rows=10, mean=100, records="chat")
    assert talks.rows("whole") == 5
    assert talks.rows("cut") == 500 / 16  # of each row the first 16 tokens are read
    assert hand(talks).row_counts("cut") == {"talks": 31}


@pytest.mark.parametrize("long_rows", ["whole", "cut"])
def test_rows_give_back_the_shares_of_tokens(long_rows: str) -> None:
    mixture = hand(
        handed("a", 0.2, n_rows=50, mean=7),
        handed("b", 0.7, n_rows=90, mean=33, records="chat"),
        handed("c", 0.1, n_rows=20, mean=16),
    )
    shares = mixture.row_shares(long_rows)  # type: ignore[arg-type]
    tokens = {
        d.name: shares[d.name] * d.mean_tokens(long_rows)  # type: ignore[arg-type]
        for d in mixture.domains
    }
    total = sum(tokens.values())
    for domain in mixture.domains:
        assert tokens[domain.name] / total == pytest.approx(domain.share)


@given(st.integers(1, 10**6), st.floats(0.01, 3.0))
def test_a_factor_gives_whole_rows_though_the_fraction_is_dropped(
    n_rows: int, epochs: float
) -> None:
    domain = handed("a", 1.0, n_rows=n_rows, mean=8, horizon=1000)
    domain = replace(domain, tokens=8 * n_rows * epochs)
    wanted = hand(domain).row_counts("whole")["a"]
    assert int(n_rows * round(domain.factor("whole"), 8)) == wanted


def test_steps_are_those_of_the_horizon_and_a_tiny_share_is_a_row() -> None:
    tiny = handed("tiny", 1e-6, n_rows=5, mean=100)
    mixture = hand(tiny, handed("rest", 1 - 1e-6, n_rows=5, mean=100), horizon=640)
    assert mixture.n_steps == 10
    assert mixture.row_counts("whole")["tiny"] == 1
    assert tiny.source.file == Path("/data/tiny.jsonl")
