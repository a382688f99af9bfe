"""Sources of records as a recipe names them: files or a dataset of the hub, and what rows are.

Paths are relative to the recipe's own folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializeAsAny,
    create_model,
    model_validator,
)

from mixwise.errors import MixwiseError, printable, shown
from mixwise.records.formats import FORMATS, RecordFormat
from mixwise.records.record import Document
from mixwise.records.text import TextFields
from mixwise.section import Section


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _whole(value: object) -> object:
    """A value that rows can be chosen by; a whole number may be written with a point."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, bool | int | str):
        raise ValueError(
            f"must be a text, a whole number, or true or false, but got {shown(value)}: change it"
        )
    return value


def _fits_file_system(path: str) -> str:
    """What Linux and macOS can hold: 255 bytes a name, 4,095 a path."""
    longest, whole = max(len(part.encode()) for part in path.split("/")), len(path.encode())
    if longest > 255 or whole > 4095:
        raise ValueError(
            "a path may have 255 bytes between slashes and 4,095 in all, but got "
            f"{longest:,} and {whole:,}: shorten `{printable(path, 40)}`"
        )
    return path


PathText = Annotated[str, AfterValidator(_fits_file_system)]
Patterns = Annotated[tuple[PathText, ...], BeforeValidator(_as_tuple)]


class HubDataset(Section):
    """A dataset of the Hugging Face hub (needs the extra ``mixwise[hub]``).

    ``stream_rows``: so many rows from its beginning are read as a stream, and nothing else of it is
    downloaded; they are all that it has to train on.
    """

    dataset: PathText
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    stream_rows: Annotated[int, Field(gt=0, le=10**9)] | None = None


_OF_RECORDS = (
    "files", "hub", "where", "records", "field", "fields", "learn", "format",
    "document_characters",
)  # fmt: skip
Weight = Annotated[float, Field(gt=0, le=10**9)]
FormatChoice = Literal["auto", "jsonl", "json", "csv", "tsv", "parquet", "arrow", "text"]


class TextSource(Section):
    """Records of one format: where they come from, files, globs or a dataset of the hub.

    ``files``: paths, folders or globs. ``format``: by default told by the name
    (`mixwise.data.formats` has the table); ``text`` reads any file as plain text, such as source
    code. ``document_characters``: after about so many, plain text is cut into documents.

    ``where``: fields and the values that a row must have to be taken; so one file, with a column
    that names them, can be several domains.

    ``records``: what a row is (`mixwise.records.formats` has the table), by default a text.
    ``field``: the field or column that holds the text; dots lead into nested objects
    (``meta.body``). ``fields``: where the parts of other records stand.

    ``learn``: which part of a record is learned and measured: all turns of the ``assistant`` (of
    conversations, by default), the ``completion`` (of prompts with completions, by default; of
    conversations, the assistant's last turn), or ``all``.
    """

    files: Patterns = ()
    hub: HubDataset | None = None
    where: dict[str, Annotated[bool | int | str, BeforeValidator(_whole)]] = Field(
        default_factory=dict
    )
    records: Annotated[str, AfterValidator(FORMATS.known)] | None = None
    field: str = "text"
    fields: SerializeAsAny[Section] | None = None
    learn: Literal["assistant", "completion", "all"] | None = None
    format: FormatChoice = "auto"
    document_characters: Annotated[int, Field(gt=0, le=10**6)] = 2000

    @classmethod
    def _reads(cls, values: Mapping[str, Any]) -> type | None:
        """Type of the records that a source with these keys is read for; None for no records."""
        return Document

    @classmethod
    def _find_format(cls, values: Mapping[str, Any]) -> RecordFormat | None:
        """The format that the keys name or that is usual; None for no records.

        Raises:
            RecipeError: If they name something unknown.
        """
        if values.get("records") is not None:
            return FORMATS.find(values["records"])
        reads = cls._reads(values)
        return next((row for row in FORMATS.values() if row.gives is reads), None)

    @property
    def record_format(self) -> RecordFormat:
        """What its rows are."""
        found = self._find_format(self._chosen)
        assert found is not None  # a source that has records
        return found

    @property
    def names_records(self) -> bool:
        """Whether the recipe says what a row is, rather than its fields."""
        usual = type(self).model_fields["field"].default
        return self.records is not None or self.fields is not None or self.field != usual

    def read_as(self, records: str, fields: Mapping[str, str]) -> Self:
        """The same source, of records of this format.

        Args:
            records: Name of the format.
            fields: Where the parts of a record stand; of a text, ``text``.

        Raises:
            ValueError: If ``learn`` does not fit the format.
        """
        found = FORMATS.find(records)
        is_text = found.fields is TextFields
        parts = {"field": fields["text"]} if is_text else {"fields": found.fields(**fields)}
        read = self.model_copy(update={"records": records, **parts})
        read._require_fitting_learn()
        return read

    @property
    def learned(self) -> Any:
        """Which part of a record is learned, one of its format's ``learns``."""
        return self.learn or next(iter(self.record_format.learns), "all")

    @property
    def parts(self) -> Section:
        """Where the parts of a record stand in a row; of a text, its field."""
        if self.record_format.fields is TextFields:
            return TextFields(text=self.field)
        return self.fields or self.record_format.fields()

    @property
    def _keys_stand_elsewhere(self) -> str:
        """Why the keys that tell of records have no effect; empty where they have one."""
        if self._reads(self._chosen) is None:
            return "on a set that brings its own examples: leave it out"
        return ""

    @property
    def _chosen(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields}

    @model_validator(mode="before")
    @classmethod
    def _parse_fields(cls, values: Any) -> Any:
        """Check ``fields`` by the format that they belong to."""
        if not isinstance(values, Mapping) or not isinstance(values.get("fields"), Mapping):
            return values
        try:
            found = cls._find_format(values)
        except (MixwiseError, TypeError):  # the key that names it is refused by itself
            return {key: value for key, value in values.items() if key != "fields"}
        if found is None or found.fields is TextFields:
            return {**values, "fields": Section()}  # refused below: it has no effect
        model: Any = create_model(found.name, fields=(found.fields, ...))
        parsed: Any = model.model_validate({"fields": values["fields"]})
        return {**values, "fields": parsed.fields}

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        reads = self._reads(self._chosen)
        if self._keys_stand_elsewhere:
            return self
        if bool(self.files) == (self.hub is not None):
            raise ValueError("needs either `files` (paths or globs) or `hub`, and not both")
        if self.record_format.gives is not reads:
            fitting = ", ".join(row.name for row in FORMATS.values() if row.gives is reads)
            raise ValueError(f"`records: {self.records}` cannot be here: use one of {fitting}")
        return self

    @model_validator(mode="after")
    def _keys_have_an_effect(self) -> Self:
        if self._keys_stand_elsewhere:
            self._refuse(_OF_RECORDS, self._keys_stand_elsewhere)
            return self
        if self.hub is not None and not getattr(self, "heldout_files", ()):  # which have a format
            self._refuse(("format", "document_characters"), "on a dataset of the hub: leave it out")
        name = self.record_format.name
        if self.names_records or self.record_format.gives is not Document:
            self._require_fitting_learn()  # of others, what they are is not known yet
        if self.record_format.fields is TextFields:
            self._refuse(("fields",), "on text records: use `field`, or name other `records`")
            return self
        self._refuse(("field", "document_characters"), f"on {name} records: use `fields`")
        if self.format == "text":
            raise ValueError(f"{name} records are rows, so `format: text` cannot be: use `jsonl`")
        return self

    def _require_fitting_learn(self) -> None:
        learns = self.record_format.learns
        if self.learn is not None and self.learn not in learns:
            fitting = f"use {' or '.join(learns)}" if learns else "leave it out"
            raise ValueError(
                f"`learn: {self.learn}` cannot be on {self.record_format.name} records: {fitting}"
            )

    def _refuse(self, names: Sequence[str], reason: str) -> None:
        for name in names:
            if getattr(self, name) != type(self).model_fields[name].get_default(
                call_default_factory=True
            ):
                raise ValueError(f"`{name}` has no effect {reason}")
