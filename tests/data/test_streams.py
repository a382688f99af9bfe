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


@pytest.mark.parametrize("name", ["train.u32", "train_mask.u8"])
def test_a_file_that_changes_is_refused(tmp_path: Path, name: str) -> None:
    stream = write(tmp_path, masked=True)
    stream.require_unchanged("math")
    with (tmp_path / name).open("r+b") as file:
        file.write(b"\x07")
    with pytest.raises(DataError, match=rf"{name}: the cached tokens of `math` have changed"):
        stream.require_unchanged("math")


def test_the_content_is_that_of_all_files(tmp_path: Path) -> None:
    stream = write(tmp_path, masked=True)
    assert stream.content_hash != stream.model_copy(update={"mask": None}).content_hash
    assert stream.model_copy(update={"hashes": {}}).content_hash == ""
