from pathlib import Path

import numpy as np
import pytest

from mixwise.data.streams import NOT_LEARNED, TokenStream
from mixwise.errors import DataError
from mixwise.files import hash_file


def write(folder: Path, *, masked: bool) -> TokenStream:
    np.arange(10, 20, dtype=np.uint32).tofile(folder / "train.u32")
    mask = folder / "train_mask.u8" if masked else None
    if mask is not None:
        np.array([1, 1, 0, 1, 0, 0, 0, 0, 1, 1], dtype=np.uint8).tofile(mask)
    files = [folder / "train.u32", *([mask] if mask else [])]
    hashes = {file.name: hash_file(file) for file in files}
    return TokenStream(ids=files[0], mask=mask, hashes=hashes)


def test_labels_are_the_ids_but_for_the_first(tmp_path: Path) -> None:
    stream = write(tmp_path, masked=False)
    assert stream.n_rows(4) == 2
    ids, labels = stream.rows(4, start_of_text=1).read(1)
    assert ids.tolist() == [1, 15, 16, 17]
    assert labels.tolist() == [NOT_LEARNED, 15, 16, 17]


def test_labels_leave_out_what_is_not_learned(tmp_path: Path) -> None:
    rows = write(tmp_path, masked=True).rows(4, start_of_text=None)
    assert rows.read(0)[0].tolist() == [10, 11, 12, 13]
    assert rows.read(0)[1].tolist() == [NOT_LEARNED, 11, NOT_LEARNED, 13]
    assert rows.read(1)[1].tolist() == [NOT_LEARNED] * 4


def apart(stream: TokenStream) -> TokenStream:
    """The same stream of documents that do not see each other: of 3, 1, 2 and 4 tokens."""
    file = stream.ids.with_name("train_lengths.npy")
    np.save(file, np.array([3, 1, 2, 4]))
    hashes = stream.hashes | {file.name: hash_file(file)}
    return stream.model_copy(update={"lengths": file, "hashes": hashes})


def test_positions_begin_anew_at_every_document_and_at_the_row(tmp_path: Path) -> None:
    stream = write(tmp_path, masked=False)
    assert stream.rows(4, start_of_text=None).positions(0) is None
    rows = apart(stream).rows(5, start_of_text=None)
    first, second = rows.positions(0), rows.positions(1)
    assert first is not None
    assert second is not None
    assert first.tolist() == [0, 1, 2, 0, 0]
    assert second.tolist() == [0, 0, 1, 2, 3]  # a document goes on without its beginning


def test_no_first_token_of_a_document_is_learned_where_nothing_predicts_it(tmp_path: Path) -> None:
    rows = apart(write(tmp_path, masked=False)).rows(5, start_of_text=1)
    ids, labels = rows.read(0)
    assert ids.tolist() == [1, 11, 12, 13, 14]
    assert labels.tolist() == [NOT_LEARNED, 11, 12, NOT_LEARNED, NOT_LEARNED]
    assert rows.read(1)[1].tolist() == [NOT_LEARNED, NOT_LEARNED, 17, 18, 19]
    masked = apart(write(tmp_path, masked=True)).rows(5, start_of_text=None)
    assert masked.read(0)[1].tolist() == [NOT_LEARNED, 11, *[NOT_LEARNED] * 3]


@pytest.mark.parametrize("name", ["train.u32", "train_mask.u8", "train_lengths.npy"])
def test_a_file_that_changes_is_refused(tmp_path: Path, name: str) -> None:
    stream = apart(write(tmp_path, masked=True))
    stream.require_unchanged("math")
    with (tmp_path / name).open("r+b") as file:
        file.write(b"\x07")
    with pytest.raises(DataError, match=rf"{name}: the cached tokens of `math` have changed"):
        stream.require_unchanged("math")


def test_the_content_is_that_of_all_files(tmp_path: Path) -> None:
    stream = write(tmp_path, masked=True)
    assert stream.content_hash != stream.model_copy(update={"mask": None}).content_hash
    assert stream.content_hash != apart(stream).content_hash
    assert stream.model_copy(update={"hashes": {}}).content_hash == ""
