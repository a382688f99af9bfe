import pytest

from mixwise.errors import DataError
from mixwise.records.labelled import LabelledFields, reader
from mixwise.records.row import FileRow


def read(label: object, fields: LabelledFields | None = None) -> str | None:
    row = FileRow({"text": "a film", "label": label, "stars": 5}, "rows.jsonl", 3)
    label_read: str | None = reader(fields or LabelledFields(), "domains.films").read(row).label
    return label_read


def test_a_name_and_a_number_are_labels() -> None:
    assert read("pos") == "pos"
    assert read(0) == "0"
    assert read("pos", LabelledFields(label="stars")) == "5"


@pytest.mark.parametrize("label", [None, "", True, 0.5, ["pos"]])
def test_what_is_no_label_names_row_and_field(label: object) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl:3: `label` must be the name or number"):
        read(label)


def test_a_missing_label_names_the_key() -> None:
    with pytest.raises(DataError, match=r"`domains\.films\.fields\.label`"):
        read("pos", LabelledFields(label="sentiment"))
