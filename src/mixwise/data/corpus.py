"""Tokenise a source once, split it by document, and serve it as sequences of fixed length.

Notation:
    L: sequence length in tokens.  n: sequences.  Token arrays have shape ``(n, L)``.

Method:
    Documents are ordered by the hash of their text, and the first share of that order is held out;
    equal texts have equal hashes, so no text is on both sides. Each side is one stream of tokens,
    documents joined by the end-of-text token; sequences are cut from the stream, the incomplete
    last one is dropped. Both streams are kept in a cache under the hash of everything they come
    from, and mapped into memory from there (`token_cache`).
    A text of more than 200,000 characters is tokenised in pieces, cut where a line or a word
    begins, so that memory stays bounded; its tokens may differ from those of the whole at a cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mixwise.data.formats import format_of
from mixwise.data.matching import resolve_files, warn_of_left_out
from mixwise.data.sources import Document, read_documents
from mixwise.data.token_cache import load_cached, part_folder, save_facts
from mixwise.errors import DataError, ResourceError
from mixwise.files import HashFile, hash_file
from mixwise.progress import OnProgress, Progress, silent
from mixwise.recipe import TextSource, hash_section
from mixwise.shortages import explain_failed_write

Tokens = npt.NDArray[np.integer]
_FORMAT = 2  # of the cache; raise it when the files below change their meaning
_BATCH = 256  # pieces of text tokenised together
_PIECE = 200_000  # characters of the longest piece, and of all that are tokenised together


class Tokenizer(Protocol):
    """What a corpus needs of a tokenizer: ids and the byte position where each token ends."""

    @property
    def fingerprint(self) -> str:
        """Hash of the vocabulary and of all rules."""
        ...

    @property
    def end_of_text(self) -> int:
        """The id that joins documents."""
        ...

    @property
    def start_of_text(self) -> int | None:
        """The id that begins every text and every row, or None where none does."""
        ...

    def ids(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Ids of each text."""
        ...

    def encode(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[int]]]:
        """Ids of each text and, for each id, the bytes of text that it adds."""
        ...


@dataclass(frozen=True, slots=True)
class CorpusFacts:
    """What is known of a corpus without opening its tokens.

    Args:
        n_documents: Documents on both sides.
        n_empty: Documents left out because they hold white space alone.
        n_heldout_documents: Documents of the held-out side.
        n_train_tokens: Tokens of the training side, end-of-text tokens counted.
        n_heldout_tokens: The same of the held-out side.
        n_train_bytes: UTF-8 bytes of the training side.
    """

    n_documents: int
    n_empty: int
    n_heldout_documents: int
    n_train_tokens: int
    n_heldout_tokens: int
    n_train_bytes: int


@dataclass(frozen=True, slots=True)
class Corpus:
    """A tokenised source: a training side and a held-out side.

    Args:
        name: Name of the domain or evaluation set.
        key: Hash of all that the tokens come from.
        folder: Its folder in the cache.
        facts: Counts.
        files: Hash of the content of each file of the folder.
    """

    name: str
    key: str
    folder: Path
    facts: CorpusFacts
    files: Mapping[str, str]

    def train_sequences(self, length: int) -> Tokens:
        """Training sequences, shape ``(n, length)``, mapped from disk."""
        return map_sequences(self.train_file, length)

    @property
    def train_file(self) -> Path:
        """The training side as one stream of 32-bit ids."""
        return self.folder / "train.u32"

    @property
    def train_hash(self) -> str:
        """Hash of the content of the training side."""
        return self.files["train.u32"]

    def heldout_sequences(
        self, length: int, limit: int, without: npt.NDArray[np.uint64] | None = None
    ) -> HeldoutSequences:
        """Held-out sequences, evenly spaced over the held-out stream.

        Args:
            length: Tokens per sequence.
            limit: At most so many sequences.
            without: Hashes of documents to leave out.

        Raises:
            DataError: If not one whole sequence is left.
        """
        tokens = _map(self.folder / "heldout.u32", np.uint32)
        n_bytes = _map(self.folder / "heldout_bytes.u32", np.uint32)
        if without is not None and len(without):
            hashes, lengths = self.document_hashes(heldout=True), self._heldout_lengths()
            kept = np.repeat(~np.isin(hashes, without), lengths)
            tokens, n_bytes = tokens[kept], n_bytes[kept]
        rows, row_bytes = _cut(tokens, length), _cut(n_bytes, length)
        if not len(rows):
            raise DataError(
                f"`{self.name}`: {len(tokens)} held-out tokens do not fill one sequence of "
                f"{length}: add documents, raise `heldout.fraction` or lower `sequence_length`"
            )
        chosen = np.unique(np.linspace(0, len(rows) - 1, min(limit, len(rows))).round().astype(int))
        return HeldoutSequences(rows[chosen].astype(np.int64), row_bytes[chosen].astype(np.int64))

    def document_hashes(self, *, heldout: bool) -> npt.NDArray[np.uint64]:
        """Hash of each document of one side, in the order of its stream."""
        return np.load(
            self.folder / f"{'heldout' if heldout else 'train'}_hashes.npy", allow_pickle=False
        )

    def _heldout_lengths(self) -> npt.NDArray[np.int64]:
        return np.load(self.folder / "heldout_lengths.npy", allow_pickle=False)


@dataclass(frozen=True, slots=True, eq=False)
class HeldoutSequences:
    """Held-out tokens, and the bytes of text that each token adds; both of shape ``(n, L)``."""

    tokens: npt.NDArray[np.int64]
    token_bytes: npt.NDArray[np.int64]

    def beginning_with(self, start_of_text: int | None) -> HeldoutSequences:
        """The same sequences as a model reads them; see `begin_rows`."""
        return HeldoutSequences(begin_rows(self.tokens, start_of_text), self.token_bytes)


def prepare_corpus(
    name: str,
    source: TextSource,
    *,
    folder: Path,
    key: str,
    tokenizer: Tokenizer,
    cache: Path,
    heldout_fraction: float,
    heldout_files: Sequence[str] = (),
    hash_file: HashFile = hash_file,
    on_progress: OnProgress = silent,
) -> Corpus:
    """Tokenise a source, or find it in the cache, where a damaged one is made anew.

    Args:
        name: Name of the domain or evaluation set.
        source: Where its documents come from.
        folder: Folder that relative paths start from.
        key: Key path of the source in the recipe, for error texts.
        tokenizer: Turns texts into ids.
        cache: Folder of the cache; made when missing.
        heldout_fraction: Share of the documents to hold out; 1 holds out all of them.
        heldout_files: Files that are the held-out side; then nothing is split off.
        hash_file: Hashes a file; a study passes one that remembers unchanged files.
        on_progress: Told how many documents are tokenised.

    Raises:
        DataError: If the source cannot be read, or a side would be empty.
        ResourceError: If the disk is full.
    """
    warn_of_left_out(source, folder, key)
    heldout_source = source.model_copy(update={"files": tuple(heldout_files), "hub": None})
    corpus_key = find_corpus_key(
        source,
        folder=folder,
        key=key,
        tokenizer=tokenizer,
        heldout_fraction=heldout_fraction,
        heldout_files=heldout_files,
        hash_file=hash_file,
    )
    target = cache / corpus_key
    cached = load_cached(target, name)
    if cached is None:

        def documents() -> Iterator[Document]:
            return read_documents(source, folder, key)

        hashes = _hash_documents(documents(), name, key)
        if heldout_files:
            sides = _Sides(documents(), read_documents(heldout_source, folder, key))
        else:
            cut = _heldout_cut(hashes, heldout_fraction, name, key)
            sides = _Sides(
                (d for d in documents() if _hash_text(d.text) > cut),
                (d for d in documents() if _hash_text(d.text) <= cut),
            )
        counted = _counted(f"tokenising {name}", len(hashes), on_progress)
        _write_corpus(target, sides, tokenizer, counted)
        cached = load_cached(target, name)
        if cached is None:
            raise ResourceError(
                f"{target}: the tokens were written, but reading them gives other ones: look at "
                "the disk, or set MIXWISE_CACHE to another folder"
            )
    return Corpus(name, corpus_key, target, CorpusFacts(**cached["facts"]), cached["files"])


def find_corpus_key(
    source: TextSource,
    *,
    folder: Path,
    key: str,
    tokenizer: Tokenizer,
    heldout_fraction: float,
    heldout_files: Sequence[str] = (),
    hash_file: HashFile = hash_file,
) -> str:
    """Hash of all that the tokens of a source come from; see `prepare_corpus` for the arguments."""
    parts: list[str | int] = [
        _hash_source(source, folder, key, hash_file),
        tokenizer.fingerprint,
        _FORMAT,
    ]
    if heldout_files:
        heldout = source.model_copy(update={"files": tuple(heldout_files), "hub": None})
        parts.append(_hash_source(heldout, folder, f"{key}.heldout_files", hash_file))
    else:
        parts.append(str(heldout_fraction))
    return hash_section(*parts)


def map_sequences(stream: Path, length: int) -> Tokens:
    """Cut a stream of 32-bit ids into whole sequences, shape ``(n, length)``, mapped from disk."""
    return _cut(_map(stream, np.uint32), length)


def begin_rows(tokens: Tokens, start_of_text: int | None) -> npt.NDArray[np.int64]:
    """Rows as a model reads them: each begins with this token, which takes the first one's place.

    The first token of a row is never predicted, so that the predicted ones stay the same.

    Args:
        tokens: Rows that were cut from a stream, shape ``(…, L)``.
        start_of_text: The token; None to leave the rows as they are.

    Example:
        >>> begin_rows(np.array([[5, 6, 7], [8, 9, 5]]), 1).tolist()
        [[1, 6, 7], [1, 9, 5]]
    """
    rows = tokens.astype(np.int64)
    if start_of_text is not None:
        rows[..., 0] = start_of_text
    return rows


def find_overlap(heldout: Corpus, train: Corpus) -> npt.NDArray[np.uint64]:
    """Hashes of the texts that stand on one corpus' held-out and another's training side."""
    return np.intersect1d(
        heldout.document_hashes(heldout=True), train.document_hashes(heldout=False)
    )


def locate_hash(source: TextSource, folder: Path, key: str, text_hash: int) -> str:
    """``file:line`` of the first document with this hash."""
    for document in read_documents(source, folder, key):
        if _hash_text(document.text) == text_hash:
            return f"{document.file}:{document.line}"
    raise DataError(f"`{key}` changed while it was read: run the command again")


@dataclass(frozen=True, slots=True)
class _Sides:
    train: Iterable[Document]
    heldout: Iterable[Document]


def _hash_text(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.strip().encode(), digest_size=8).digest(), "big")


def _hash_source(source: TextSource, folder: Path, key: str, hash_file: HashFile) -> str:
    """Hash the content of a source: of its files, or of all texts of a dataset of the hub.

    A name and a revision do not tell two datasets apart: a folder can have the name, and a branch
    moves.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(
        source.model_dump_json(include={"field", "format", "document_characters"}).encode()
    )
    if source.hub is not None:
        for document in read_documents(source, folder, key):
            text = document.text.encode()
            digest.update(f"{len(text)} ".encode() + text)
        return digest.hexdigest()
    for path in resolve_files(source.files, folder, f"{key}.files", source.format):
        digest.update(format_of(path, source.format).encode() + hash_file(path).encode())
    return digest.hexdigest()


def _hash_documents(documents: Iterable[Document], name: str, key: str) -> npt.NDArray[np.uint64]:
    """Hashes of all documents that hold text, sorted."""
    hashes = np.array([_hash_text(d.text) for d in documents if d.text.strip()], dtype=np.uint64)
    if not len(hashes):
        raise DataError(f"`{key}`: `{name}` holds no text: every document is empty")
    hashes.sort()
    return hashes


def _counted(task: str, total: int, on_progress: OnProgress) -> Callable[[int], None]:
    """A function that adds to the documents done and tells how many there are."""
    done = 0

    def add(n: int) -> None:
        nonlocal done
        done += n
        on_progress(Progress(task, min(done, total), total))

    return add


def _heldout_cut(hashes: npt.NDArray[np.uint64], fraction: float, name: str, key: str) -> int:
    """Largest hash that is held out, so that this fraction of the documents is."""
    if fraction >= 1:
        return int(hashes[-1])
    cut = hashes[max(1, round(fraction * len(hashes))) - 1]
    if cut == hashes[-1]:
        raise DataError(
            f"`{key}`: `{name}` has {len(np.unique(hashes))} different document(s), too few to "
            "hold some out: add documents, or name `heldout_files`"
        )
    return int(cut)


def _write_corpus(
    target: Path, sides: _Sides, tokenizer: Tokenizer, counted: Callable[[int], None]
) -> None:
    """Write both sides into a folder beside the target and move it there when it is whole."""
    try:
        with part_folder(target) as partial:
            train = _write_side(partial, "train", sides.train, tokenizer, counted)
            heldout = _write_side(partial, "heldout", sides.heldout, tokenizer, counted)
            facts = CorpusFacts(
                n_documents=train.n_documents + heldout.n_documents,
                n_empty=train.n_empty + heldout.n_empty,
                n_heldout_documents=heldout.n_documents,
                n_train_tokens=train.n_tokens,
                n_heldout_tokens=heldout.n_tokens,
                n_train_bytes=train.n_bytes,
            )
            save_facts(partial, asdict(facts))
    except OSError as error:
        raise ResourceError(
            f"the token cache: {explain_failed_write(error, target.parent)}, or set MIXWISE_CACHE "
            "to another folder"
        ) from None


@dataclass(frozen=True, slots=True)
class _SideFacts:
    n_documents: int
    n_empty: int
    n_tokens: int
    n_bytes: int


def _write_side(
    folder: Path,
    side: str,
    documents: Iterable[Document],
    tokenizer: Tokenizer,
    counted: Callable[[int], None],
) -> _SideFacts:
    hashes: list[int] = []
    lengths: list[int] = []
    n_empty = n_bytes = 0
    with (
        (folder / f"{side}.u32").open("wb") as ids_file,
        (folder / f"{side}_bytes.u32").open("wb") as bytes_file,
    ):
        length = 0
        for batch in _batches(_cut_long(documents)):
            texts = [piece.text for piece in batch if piece.text]
            encoded = iter(
                tokenizer.encode(texts)
                if side == "heldout"
                else ((ids, []) for ids in tokenizer.ids(texts))
            )
            for piece in batch:
                if not piece.text:
                    n_empty += 1
                    continue
                ids, sizes = next(encoded)
                if not piece.is_first and tokenizer.start_of_text is not None:
                    ids, sizes = ids[1:], sizes[1:]  # the text does not begin here
                end = [] if piece.whole is None else [tokenizer.end_of_text]
                np.array([*ids, *end], dtype=np.uint32).tofile(ids_file)
                if side == "heldout":
                    np.array([*sizes, *(0 for _ in end)], dtype=np.uint32).tofile(bytes_file)
                length += len(ids) + len(end)
                if piece.whole is not None:
                    hashes.append(_hash_text(piece.whole))
                    lengths.append(length)
                    length = 0
                    n_bytes += len(piece.whole.encode())
            counted(sum(piece.whole is not None for piece in batch))
    np.save(folder / f"{side}_hashes.npy", np.array(hashes, dtype=np.uint64))
    np.save(folder / f"{side}_lengths.npy", np.array(lengths, dtype=np.int64))
    return _SideFacts(len(hashes), n_empty, sum(lengths), n_bytes)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A text to tokenise; with the last piece of a document comes the document's whole text.

    A document that holds white space alone is one empty piece.
    """

    text: str
    whole: str | None
    is_first: bool = True


def _cut_long(documents: Iterable[Document]) -> Iterator[_Piece]:
    for document in documents:
        text = document.text
        if not text.strip():
            yield _Piece("", None)
            continue
        start = 0
        while len(text) - start > _PIECE:
            end = _cut_place(text, start, start + _PIECE)
            yield _Piece(text[start:end], None, is_first=start == 0)
            start = end
        yield _Piece(text[start:], text, is_first=start == 0)


def _cut_place(text: str, start: int, end: int) -> int:
    r"""Where a piece may end: after the last line, else before the last space, else at the end.

    Example:
        >>> _cut_place("one two\nthree four", 0, 12), _cut_place("one two three", 0, 9)
        (8, 7)
    """
    line = text.rfind("\n", start, end)
    if line > start:
        return line + 1
    space = text.rfind(" ", start + 1, end)
    return space if space > start else end


def _batches(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    """Pieces that are tokenised together: so many, of so many characters in all."""
    batch: list[_Piece] = []
    size = 0
    for piece in pieces:
        if batch and (len(batch) == _BATCH or size + len(piece.text) > _PIECE):
            yield batch
            batch, size = [], 0
        batch.append(piece)
        size += len(piece.text)
    if batch:
        yield batch


def _map(path: Path, dtype: type[np.integer]) -> Tokens:
    if path.stat().st_size == 0:
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r")


def _cut(stream: Tokens, length: int) -> Tokens:
    n = len(stream) // length
    return stream[: n * length].reshape(n, length)
