"""Which rows of a recipe's evaluation sets stand in its training data.

Method:
    Every domain is read once for all sets (`mixwise.data.contamination`); only documents of its
    training side count. What is found is kept in the cache under the hash of all that it comes
    from. A row counts where one training document covers as much of it as the recipe says.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwise.data.contamination import Passage, RowIndex
from mixwise.data.corpus import Corpus
from mixwise.data.matching import file_patterns, resolve_files
from mixwise.data.tokenising import hash_text
from mixwise.errors import DataError, printable
from mixwise.progress import OnProgress, Progress
from mixwise.recipe import Contamination, hash_section
from mixwise.records.record import Document
from mixwise.study.kept_findings import load_found, save_found

if TYPE_CHECKING:
    from mixwise.study.inputs import Inputs

_SHOWN = 2  # rows that are named
_FORMAT = 2  # of what is kept; raise it when texts are compared in another way


@dataclass(frozen=True, slots=True)
class Leak:
    """A row of an evaluation set that a training document covers.

    Args:
        place: ``file:line`` of the row.
        text_hash: Hash of its text.
        coverage: Share of its words that lie in n-grams of the document, in (0, 1].
        domain: Whose document it is.
        document: ``file:line`` of the document.
    """

    place: str
    text_hash: int
    coverage: float
    domain: str
    document: str


@dataclass(frozen=True, slots=True)
class SetLeaks:
    """What of one evaluation set was found in training data.

    Args:
        n_rows: Rows of the set.
        n_short: Rows with too few words to be judged.
        leaks: The most covered first; a row once for each domain that holds it.
    """

    n_rows: int
    n_short: int
    leaks: tuple[Leak, ...]

    @property
    def hashes(self) -> frozenset[int]:
        """Hashes of the texts that are covered."""
        return frozenset(leak.text_hash for leak in self.leaks)


class ContaminationSearch:
    """Looks for the rows of evaluation sets in training documents.

    Args:
        settings: What the recipe asks for.
        cache: Folder in which findings are kept.
        on_progress: Told how many domains have been read.
    """

    def __init__(self, settings: Contamination, cache: Path, on_progress: OnProgress) -> None:
        self._settings = settings
        self._cache = cache
        self._on_progress = on_progress

    def run(
        self,
        sets: Mapping[str, Sequence[Passage]],
        corpora: Mapping[str, Corpus],
        documents: Callable[[str], Iterator[Document]],
        files: Callable[[str], Sequence[str]],
    ) -> dict[str, SetLeaks]:
        """Find the rows of each set.

        Args:
            sets: Rows by set.
            corpora: The domains, tokenised.
            documents: Reads a domain's documents, of both sides.
            files: Names the files of a domain, which findings name too.
        """
        key = self._key(sets, {name: (corpora[name].key, *files(name)) for name in corpora})
        file = self._cache / f"contamination-{key}.json"
        known = load_found(file, _parse, "test texts are looked for anew")
        if known is None:
            known = self._search(sets, corpora, documents)
            save_found(file, {"sets": {name: asdict(found) for name, found in known.items()}})
        return known

    def _search(
        self,
        sets: Mapping[str, Sequence[Passage]],
        corpora: Mapping[str, Corpus],
        documents: Callable[[str], Iterator[Document]],
    ) -> dict[str, SetLeaks]:
        rows = [row for of_set in sets.values() for row in of_set]
        owners = [name for name, of_set in sets.items() for _ in of_set]
        index = RowIndex(rows, self._settings.ngram_words)
        found: dict[str, list[Leak]] = {name: [] for name in sets}
        for done, (domain, corpus) in enumerate(corpora.items()):
            self._tell(done, len(corpora))
            for each in index.covered_by(_training_side(corpus, documents(domain))):
                if each.coverage >= self._settings.coverage:
                    text = hash_text(rows[each.row].text)
                    leak = Leak(each.place, text, each.coverage, domain, each.document)
                    found[owners[each.row]].append(leak)
        self._tell(len(corpora), len(corpora))
        short = index.short_rows
        return {
            name: SetLeaks(
                len(of_set),
                sum(owners[row] == name for row in short),
                tuple(sorted(found[name], key=lambda leak: -leak.coverage)),
            )
            for name, of_set in sets.items()
        }

    def _tell(self, done: int, n_domains: int) -> None:
        self._on_progress(Progress("looking for test texts", done, n_domains, "domains"))

    def _key(
        self, sets: Mapping[str, Sequence[Passage]], domains: Mapping[str, Sequence[str]]
    ) -> str:
        of_sets = (
            hash_section(name, *(f"{row.place} {hash_text(row.text)}" for row in rows))
            for name, rows in sets.items()
        )
        of_domains = (hash_section(name, *parts) for name, parts in domains.items())
        asked = self._settings.model_dump_json(exclude={"action"})
        return hash_section(_FORMAT, asked, *of_sets, *of_domains)


def find_leaks(inputs: Inputs) -> dict[str, SetLeaks]:
    """Rows of a recipe's extra evaluation sets that stand in training documents, by set.

    Raises:
        DataError: If there are any and the recipe refuses them.
    """
    recipe, folder = inputs.recipe, inputs.settings.recipe_folder
    sets = {name: tuple(_passages(inputs, name)) for name in recipe.evaluation.sets}
    search = ContaminationSearch(recipe.contamination, inputs.settings.cache, inputs.on_progress)
    found = search.run(
        {name: rows for name, rows in sets.items() if rows},
        {name: inputs.corpus(name) for name in recipe.domains},
        lambda name: itertools.chain.from_iterable(inputs.documents(name)),
        lambda name: _file_names(inputs, name),
    )
    lines = [
        f"{describe_leaks(inputs.key(name), leaks, recipe.contamination, folder)}: remove them "
        "from the training data, or set `contamination.action` to `drop` (the rows) or `warn`"
        for name, leaks in found.items()
        if leaks.leaks and recipe.contamination.action == "refuse"
    ]
    if lines:
        raise DataError(*lines)
    return found


def _passages(inputs: Inputs, name: str) -> Iterator[Passage]:
    """The rows of an extra evaluation set as training data may hold them."""
    if not inputs.reads_records(name):
        yield from getattr(inputs.build_set(name), "passages", ())
        return
    if inputs.recipe.task_facts.has_images:  # equal ones are found by their pixels
        return
    let_in = _let_in(inputs, name)
    for record in inputs.records(name):
        is_text = hasattr(record, "text") and hasattr(record, "place")
        if is_text and (let_in is None or hash_text(record.text) in let_in):
            yield Passage(record.text, record.place)


def _let_in(inputs: Inputs, name: str) -> frozenset[int] | None:
    """Hashes of the rows that the weights of a set let in; None where it has no weights."""
    if all(each.weight is None for each in inputs.portions(name)):
        return None
    return frozenset(inputs.corpus(name).document_hashes(heldout=True).tolist())


def _file_names(inputs: Inputs, name: str) -> list[str]:
    """The files of a domain or set by their paths; datasets of the hub by their names."""
    found = []
    for each in inputs.portions(name):
        source, folder = each.source, inputs.settings.recipe_folder
        patterns = file_patterns(source, folder)
        files = resolve_files(patterns, folder, each.key, source.format) if patterns else ()
        found += [str(file) for file in files]
        found += [source.hub.dataset] if source.hub is not None else []
    return found


def describe_leaks(key: str, found: SetLeaks, settings: Contamination, folder: Path) -> str:
    """Say in one line what was found of a set.

    Args:
        key: Key path of the set.
        found: At least one leak.
        settings: What the recipe asks for.
        folder: The recipe's; places within it are named from there.
    """

    def shown(place: str) -> str:
        return printable(place.removeprefix(f"{folder}/"), 120)

    n_rows = len({leak.place for leak in found.leaks})
    worst = "; ".join(
        f"{shown(leak.place)} ({leak.coverage:.0%} of its words in {shown(leak.document)})"
        for leak in found.leaks[:_SHOWN]
    )
    domains = ", ".join(f"`{name}`" for name in dict.fromkeys(leak.domain for leak in found.leaks))
    return (
        f"`{key}`: {n_rows} of {found.n_rows} row(s) stand in the training documents of {domains} "
        f"({settings.ngram_words}-grams of words that cover {settings.coverage:.0%} of a row or "
        f"more), the most covered: {worst}"
    )


def _training_side(corpus: Corpus, documents: Iterator[Document]) -> Iterator[Passage]:
    trained = set(corpus.document_hashes(heldout=False).tolist())
    for document in documents:
        if hash_text(document.text) in trained:
            yield Passage(document.text, printable(document.place))


def _parse(content: Mapping[str, Any]) -> dict[str, SetLeaks]:
    return {
        name: SetLeaks(
            found["n_rows"], found["n_short"], tuple(Leak(**leak) for leak in found["leaks"])
        )
        for name, found in content["sets"].items()
    }
