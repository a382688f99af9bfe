"""Which rows of a recipe's evaluation sets stand in its training data.

Method:
    Every domain is read once for all sets (`mixwise.data.contamination`); only documents of its
    training side count. What is found is kept in the cache under the hash of all that it comes
    from. A row counts where one training document covers as much of it as the recipe says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mixwise.data.contamination import Passage, RowIndex
from mixwise.data.corpus import Corpus
from mixwise.data.tokenising import hash_text
from mixwise.errors import printable
from mixwise.progress import OnProgress, Progress
from mixwise.recipe import Contamination, hash_section
from mixwise.records.record import Document
from mixwise.study.kept_findings import load_found, save_found

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
