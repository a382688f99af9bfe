from pathlib import Path

from tests.study.test_inputs import inputs_of, talk_in

from mixwise.study.data_review import review_data


def test_every_tokenised_set_is_counted_and_its_first_rows_are_read(pico: Path) -> None:
    talk_in(pico)
    review = review_data(inputs_of(pico), 2)
    names = ["alpha", "beta", "gamma", "mixed"]
    assert [each.name for each in review.counts] == names
    assert review.sequence_length == 16
    rows = [(row.name, row.document.line) for row in review.rows]
    assert rows == [(name, line) for name in names for line in (1, 2)]
    talk = review.rows[2].document
    assert talk.text.startswith("<|user|>\nsay 0")
    assert talk.supervised is not None
    assert review.counts[1].n_learned_tokens < review.counts[1].n_tokens
    assert review.counts[0].n_learned_tokens == review.counts[0].n_tokens


def test_no_row_is_read_where_none_is_asked_for(pico: Path) -> None:
    assert review_data(inputs_of(pico), 0).rows == ()
