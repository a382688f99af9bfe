import numpy as np

from mixwise.data.heldout import HeldoutRows

TOKENS = np.array([[5, 6, 7, 8], [5, 9, 0, 0]])
BYTES = np.array([[1, 2, 3, 4], [1, 5, 0, 0]])


def test_of_plain_rows_all_but_the_first_token_counts() -> None:
    rows = HeldoutRows(TOKENS, BYTES)
    assert rows.is_plain
    assert rows.lengths.tolist() == [4, 4]
    assert rows.scored.tolist() == [[False, True, True, True]] * 2


def test_padding_and_what_is_not_learned_never_count() -> None:
    supervised = np.array([[True, False, True, True], [True, True, True, False]])
    rows = HeldoutRows(TOKENS, BYTES, supervised, np.array([4, 2]))
    assert not rows.is_plain
    assert rows.scored.tolist() == [[False, False, True, True], [False, True, False, False]]
    assert supervised[0, 0], "what was given stays as it was"


def test_the_first_token_gives_way_to_bos() -> None:
    begun = HeldoutRows(TOKENS, BYTES, row_lengths=np.array([4, 2])).beginning_with(1)
    assert begun.tokens.tolist() == [[1, 6, 7, 8], [1, 9, 0, 0]]
    assert begun.lengths.tolist() == [4, 2]
