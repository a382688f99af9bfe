"""Sources of a recipe, opened: streams are read, and rows recognised where nothing names them."""

from __future__ import annotations

from pathlib import Path

from mixwise.data.hub import KeptStream, keep_stream
from mixwise.data.recognition import recognise_source
from mixwise.errors import RecipeError
from mixwise.progress import OnProgress
from mixwise.recipe import Portion, Recipe, TextSource, portions
from mixwise.records.formats import FORMATS


class OpenedSources:
    """The sources of domains and evaluation sets; each is opened when it is first asked for.

    Args:
        recipe: The recipe.
        folder: Folder that its relative paths start from.
        cache: Folder in which rows of streams are kept.
        on_progress: Told how far streams are read.

    Attributes:
        streams: What was read of streams, by the key path of each source that was opened.
    """

    def __init__(self, recipe: Recipe, folder: Path, cache: Path, on_progress: OnProgress) -> None:
        self._recipe = recipe
        self._folder = folder
        self._cache = cache
        self._on_progress = on_progress
        self._known: dict[str, TextSource] = {}
        self.streams: dict[str, KeptStream] = {}

    def key(self, name: str) -> str:
        """Key path of a domain or evaluation set in the recipe."""
        return f"domains.{name}" if name in self._recipe.domains else f"evaluation.sets.{name}"

    def source(self, name: str) -> TextSource:
        """Where the records of a domain or evaluation set come from, and what they are.

        Raises:
            DataError: If the recipe does not say what they are, and their first row may be two; if
                a stream cannot be read.
            RecipeError: If they cannot be what the recipe says.
        """
        if name not in self._known:
            self._known[name] = self._open(name)
        return self._known[name]

    def portions(self, name: str) -> tuple[Portion, ...]:
        """The sources that a domain or evaluation set is made of."""
        return portions(self.source(name), self.key(name))

    def _open(self, name: str) -> TextSource:
        source, key = self._recipe.source(name), self.key(name)
        if not source.sources:
            return self._open_one(source, key)
        found = tuple(
            self._open_one(each, f"{key}.sources.{i}") for i, each in enumerate(source.sources)
        )
        return source.model_copy(update={"sources": found})

    def _open_one(self, source: TextSource, key: str) -> TextSource:
        if source.hub is not None and source.hub.stream_rows is not None:
            self.streams[key] = keep_stream(source.hub, key, self._cache, self._on_progress)
            source = self.streams[key].source(source)
        task = self._recipe.task_facts
        if task.records is None:
            return recognise_source(source, self._folder, key)
        if not source.names_records:
            return source.read_as(task.records, {})
        if source.record_format.name != task.records:
            raise RecipeError(
                f"`{key}`: rows must be {task.records} records with `task: {task.name}`, but are "
                f"{source.record_format.name}: set `records: {task.records}`, and `fields` where "
                f"{' and '.join(FORMATS.find(task.records).fields.model_fields)} have other names"
            )
        return source
