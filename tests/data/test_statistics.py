from pathlib import Path

from tests.data.corpora import prepare, write, write_pairs

from mixwise.data.statistics import CorpusCounts, SharedRows, count_corpus, count_shared


def test_rows_are_counted_over_both_sides(tmp_path: Path) -> None:
    write(tmp_path, "a", "bb", "bb ", " \n", "cccc", "dddddd")
    found = count_corpus(prepare(tmp_path), length=5)
    assert found == CorpusCounts(
        name="math",
        n_rows=5,
        n_empty=1,
        n_tokens=2 + 3 + 4 + 5 + 7,
        n_learned_tokens=21,
        median_tokens=4,
        longest_tokens=7,
        n_overlong=1,
        n_duplicates=1,
    )


def test_what_is_learned_is_counted_by_the_masks(tmp_path: Path) -> None:
    write_pairs(tmp_path, ("ab", "c"), ("d", "ef"))
    found = count_corpus(
        prepare(tmp_path, records="prompt-completion", heldout_fraction=0.5), length=9
    )
    assert (found.n_tokens, found.n_learned_tokens) == (8, 5)  # end of text is learned too


def test_texts_of_two_corpora_are_compared_on_both_sides(tmp_path: Path) -> None:
    corpora = {}
    for name, texts in {"a": "pqrs", "b": "rstu", "c": "xyz"}.items():
        folder = tmp_path / name
        folder.mkdir()
        write(folder, *texts)
        corpora[name] = prepare(folder)
    assert count_shared(corpora) == (SharedRows("a", "b", 2),)
