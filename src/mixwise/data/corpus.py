"""Tokenise a source once, split it by document, and serve it as sequences of fixed length.

Notation:
    L: sequence length in tokens.  n: sequences.  Token arrays have shape ``(n, L)``.

Method:
    Documents are ordered by the hash of their text, and the first share of that order is held out;
    equal texts have equal hashes, so no text is on both sides. Each side is one stream of tokens
    (`tokenising`); sequences are cut from the stream, the incomplete last one is dropped. Both
    streams are kept in a cache under the hash of everything they come from, and mapped into memory
    from there (`token_cache`).
    Where only a part of a document is learned, the held-out rows are the documents themselves: a
    completion is measured after its own prompt; so they are where documents of a training row do
    not see each other. One of more than L tokens loses those at its beginning, as a prompt of a
    choice does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mixwise.data.arrays import load_counts
from mixwise.data.chat_template import ChatTemplate
from mixwise.data.examples import ExampleEncoder, ExampleLayout, ExampleRows, ExampleStream
from mixwise.data.formats import format_of
from mixwise.data.heldout import HeldoutRows
from mixwise.data.image_rows import hash_image_files
from mixwise.data.labelled import LabelledEncoder, write_examples
from mixwise.data.matching import file_patterns, resolve_files, warn_of_left_out
from mixwise.data.mixing import mix
from mixwise.data.pieces import Tokenizer
from mixwise.data.pixels import ImageEncoder, ImageLayout, ImageRows, ImageStream
from mixwise.data.sources import no_documents, open_documents, read_documents
from mixwise.data.streams import Tokens, TokenStream, cut_rows, map_file, map_sequences
from mixwise.data.token_cache import load_cached
from mixwise.data.tokenising import CorpusFacts, Sides, hash_text, parse_facts, write_corpus
from mixwise.errors import DataError, ResourceError
from mixwise.files import HashFile, hash_file
from mixwise.progress import OnProgress, Progress, silent
from mixwise.recipe import Portion, TextSource, hash_section, portions
from mixwise.records.record import Document
from mixwise.share_units import ShareUnit

LabelledRows = ExampleRows | ImageRows
Encoder = Tokenizer | ExampleEncoder | ImageEncoder
_FORMAT = 2  # of the cache; raise it when the files below change their meaning


@dataclass(frozen=True, slots=True)
class Corpus:
    """A tokenised source: a training side and a held-out side.

    Args:
        name: Name of the domain or evaluation set.
        key: Hash of all that the tokens come from.
        folder: Its folder in the cache.
        facts: Counts.
        files: Hash of the content of each file of the folder.
        document_masking: Whether documents of a training row do not see each other.
        layout: How labelled examples stand in its files; None of a stream of documents.
    """

    name: str
    key: str
    folder: Path
    facts: CorpusFacts
    files: Mapping[str, str]
    document_masking: bool = False
    layout: ExampleLayout | ImageLayout | None = None

    def train_sequences(self, length: int) -> Tokens:
        """Training sequences, shape ``(n, length)``, mapped from disk."""
        stream = self.train
        assert not isinstance(stream, ImageStream)  # images have no tokens
        return map_sequences(stream.ids, length)

    @property
    def train(self) -> ImageStream | ExampleStream | TokenStream:
        """The training side."""
        if self.layout is not None:
            return self.layout.stream(self.folder, "train", self.files)
        mask = self.folder / "train_mask.u8" if self.is_partly_supervised else None
        lengths = self.folder / "train_lengths.npy" if self.document_masking else None
        stream = TokenStream(ids=self.folder / "train.u32", mask=mask, lengths=lengths)
        hashes = {file.name: self.files[file.name] for file in stream.files}
        return stream.model_copy(update={"hashes": hashes})

    def heldout_examples(self, limit: int, without: npt.NDArray[np.uint64]) -> LabelledRows:
        """Held-out examples, evenly spaced over the held-out side; only of labelled ones.

        Args:
            limit: At most so many.
            without: Hashes of texts to leave out.

        Raises:
            DataError: If none is left.
        """
        assert self.layout is not None  # whoever calls reads labelled examples
        kept = np.flatnonzero(~np.isin(self.document_hashes(heldout=True), without))
        if not len(kept):
            raise DataError(
                f"`{self.name}`: no held-out example is left, because all of them also stand in "
                "training rows: add others"
            )
        rows = self.layout.stream(self.folder, "heldout", self.files).rows(1, None)
        return rows.chosen(kept[_evenly_spaced(len(kept), limit)])

    @property
    def is_partly_supervised(self) -> bool:
        """Whether a part of its documents is read only."""
        return self.facts.n_supervised_train_tokens is not None

    @property
    def has_document_rows(self) -> bool:
        """Whether a held-out row is a document, and not cut from the stream."""
        return self.is_partly_supervised or self.document_masking

    def heldout_rows(
        self, length: int, limit: int, without: npt.NDArray[np.uint64] | None = None
    ) -> HeldoutRows:
        """Held-out rows, evenly spaced over the held-out side.

        Args:
            length: Tokens per row, at most.
            limit: At most so many rows.
            without: Hashes of documents to leave out.

        Raises:
            DataError: If not one whole row is left.
        """
        left_out = np.empty(0, dtype=np.uint64) if without is None else without
        kept = ~np.isin(self.document_hashes(heldout=True), left_out)
        if self.has_document_rows:
            return self._heldout_documents(length, limit, np.flatnonzero(kept))
        tokens = map_file(self.folder / "heldout.u32", np.uint32)
        n_bytes = map_file(self.folder / "heldout_bytes.u32", np.uint32)
        if not kept.all():
            kept_tokens = np.repeat(kept, self._heldout_lengths())
            tokens, n_bytes = tokens[kept_tokens], n_bytes[kept_tokens]
        rows, row_bytes = cut_rows(tokens, length), cut_rows(n_bytes, length)
        if not len(rows):
            raise DataError(
                f"`{self.name}`: {len(tokens)} held-out tokens do not fill one sequence of "
                f"{length}: add documents, raise `heldout.fraction` or lower `sequence_length`"
            )
        chosen = _evenly_spaced(len(rows), limit)
        return HeldoutRows(rows[chosen].astype(np.int64), row_bytes[chosen].astype(np.int64))

    def _heldout_documents(
        self, length: int, limit: int, documents: npt.NDArray[np.int64]
    ) -> HeldoutRows:
        """One row per document, the end of it where it is longer than a row.

        A document that learns nothing in its row is left out: a long question may end it.
        """
        document_lengths = self._heldout_lengths()
        ends = np.cumsum(document_lengths)
        mask_stream = self._heldout_mask()
        learned = np.cumsum(mask_stream, dtype=np.int64)
        firsts = ends - np.minimum(document_lengths, length)  # nothing predicts these tokens
        documents = documents[(learned[ends - 1] > learned[firsts])[documents]]
        if not len(documents):
            raise DataError(
                f"`{self.name}`: no held-out record is left: add records or raise "
                "`heldout.fraction`"
            )
        chosen = documents[_evenly_spaced(len(documents), limit)]
        lengths = np.minimum(document_lengths[chosen], length)
        names = ("heldout.u32", "heldout_bytes.u32")
        streams = [*(map_file(self.folder / name, np.uint32) for name in names), mask_stream]
        filled = [np.zeros((len(chosen), int(lengths.max())), dtype=np.int64) for _ in streams]
        for k, (end, n) in enumerate(zip(ends[chosen].tolist(), lengths.tolist(), strict=True)):
            for array, stream in zip(filled, streams, strict=True):
                array[k, :n] = stream[end - n : end]
        tokens, n_bytes, mask = filled
        return HeldoutRows(tokens, n_bytes, mask.astype(bool), lengths)

    def n_cut(self, length: int) -> int:
        """Held-out documents that are longer than a row, and lose their beginning."""
        is_cut = self._heldout_lengths() > length
        return int(is_cut.sum()) if self.has_document_rows else 0

    def document_hashes(self, *, heldout: bool) -> npt.NDArray[np.uint64]:
        """Hash of each document of one side, in the order of its stream."""
        return load_counts(self.folder / f"{'heldout' if heldout else 'train'}_hashes.npy")

    def _heldout_mask(self) -> Tokens:
        if self.is_partly_supervised:
            return map_file(self.folder / "heldout_mask.u8", np.uint8)
        return np.ones(self.facts.n_heldout_tokens, dtype=np.uint8)

    def document_lengths(self, *, heldout: bool) -> npt.NDArray[np.int64]:
        """Tokens of each document of one side, in the order of its stream."""
        return load_counts(self.folder / f"{'heldout' if heldout else 'train'}_lengths.npy")

    def _heldout_lengths(self) -> npt.NDArray[np.int64]:
        return self.document_lengths(heldout=True)


def prepare_corpus(
    name: str,
    source: TextSource,
    *,
    folder: Path,
    key: str,
    tokenizer: Encoder,
    cache: Path,
    heldout_fraction: float,
    heldout_files: Sequence[str] = (),
    chat: ChatTemplate | None = None,
    document_masking: bool = False,
    unit: ShareUnit = "tokens",
    hash_file: HashFile = hash_file,
    on_progress: OnProgress = silent,
) -> Corpus:
    """Tokenise a source, or find it in the cache, where a damaged one is made anew.

    Args:
        name: Name of the domain or evaluation set.
        source: Where its documents come from.
        folder: Folder that relative paths start from.
        key: Key path of the source in the recipe, for error texts.
        tokenizer: Turns texts into ids, or labelled texts into examples.
        cache: Folder of the cache; made when missing.
        heldout_fraction: Share of the documents to hold out; 1 holds out all of them.
        heldout_files: Files that are the held-out side; then nothing is split off.
        chat: Makes documents of conversations; a source of other records needs none.
        document_masking: Whether documents of a training row do not see each other; the tokens are
            the same.
        unit: What the weights of several sources count.
        hash_file: Hashes a file; a study passes one that remembers unchanged files.
        on_progress: Told how many documents are tokenised.

    Raises:
        DataError: If the source cannot be read, or a side would be empty.
        ResourceError: If the disk is full.
    """
    found = portions(source, key)
    for each in found:
        warn_of_left_out(each.source, folder, each.key)
    heldout_source = source.model_copy(update=_as_heldout(heldout_files))
    if heldout_files:
        warn_of_left_out(heldout_source, folder, f"{key}.heldout_files")
    corpus_key = find_corpus_key(
        source,
        folder=folder,
        key=key,
        tokenizer=tokenizer,
        heldout_fraction=heldout_fraction,
        heldout_files=heldout_files,
        chat=chat,
        unit=unit,
        hash_file=hash_file,
    )
    target = cache / corpus_key
    cached = load_cached(target, name)
    if cached is None:
        weights = [each.weight for each in found if each.weight is not None]
        documents, n_by_source = mix(
            lambda: open_documents(source, folder, key, chat), weights, tokenizer, unit
        )
        hashes = _hash_documents(documents(), name, found[0])
        is_partly_supervised = any(each.source.learned != "all" for each in found)
        if heldout_files:
            heldout = read_documents(heldout_source, folder, key, chat)
            sides = Sides(documents(), heldout, is_partly_supervised, n_by_source)
        else:
            cut = _heldout_cut(hashes, heldout_fraction, name, key)
            sides = Sides(
                (d for d in documents() if hash_text(d.text) > cut),
                (d for d in documents() if hash_text(d.text) <= cut),
                is_partly_supervised,
                n_by_source,
            )
        counted = _counted(f"tokenising {name}", len(hashes), on_progress)
        if isinstance(tokenizer, LabelledEncoder):
            write_examples(target, sides, tokenizer, counted)
        else:
            write_corpus(target, sides, tokenizer, counted)
        cached = load_cached(target, name)
        if cached is None:
            raise ResourceError(
                f"{target}: the tokens were written, but reading them gives other ones: look at "
                "the disk, or set MIXWISE_CACHE to another folder"
            )
    facts = parse_facts(cached["facts"])
    layout = tokenizer.layout if isinstance(tokenizer, ExampleEncoder | ImageEncoder) else None
    return Corpus(name, corpus_key, target, facts, cached["files"], document_masking, layout)


def find_corpus_key(
    source: TextSource,
    *,
    folder: Path,
    key: str,
    tokenizer: Encoder,
    heldout_fraction: float,
    heldout_files: Sequence[str] = (),
    chat: ChatTemplate | None = None,
    unit: ShareUnit = "tokens",
    hash_file: HashFile = hash_file,
) -> str:
    """Hash of all that the tokens of a source come from; see `prepare_corpus` for the arguments."""
    parts: list[str | int] = [
        _hash_portions(source, folder, key, chat, unit, hash_file),
        tokenizer.fingerprint,
        _FORMAT,
    ]
    if chat is not None:
        parts.append(chat.fingerprint)
    if heldout_files:
        heldout = source.model_copy(update=_as_heldout(heldout_files))
        parts.append(_hash_source(heldout, folder, f"{key}.heldout_files", chat, hash_file))
    else:
        parts.append(str(heldout_fraction))
    return hash_section(*parts)


def find_overlap(heldout: Corpus, train: Corpus) -> npt.NDArray[np.uint64]:
    """Hashes of the texts that stand on one corpus' held-out and another's training side."""
    return np.intersect1d(
        heldout.document_hashes(heldout=True), train.document_hashes(heldout=False)
    )


def locate_hash(
    source: TextSource, folder: Path, key: str, text_hash: int, chat: ChatTemplate | None = None
) -> str:
    """``file:line`` of the first document with this hash."""
    for document in read_documents(source, folder, key, chat):
        if hash_text(document.text) == text_hash:
            return document.place
    raise DataError(f"`{key}` changed while it was read: run the command again")


def _as_heldout(files: Sequence[str]) -> dict[str, Any]:
    """What a source of held-out files has in place of the domain's own."""
    return {"files": tuple(files), "hub": None, "weights": {}}


def _hash_portions(
    source: TextSource,
    folder: Path,
    key: str,
    chat: ChatTemplate | None,
    unit: ShareUnit,
    hash_file: HashFile,
) -> str:
    """Hash the content of all sources, and what they are mixed by."""
    found = portions(source, key)
    hashes = [_hash_source(each.source, folder, each.key, chat, hash_file) for each in found]
    if len(found) == 1:
        return hashes[0]
    weights = (f"{each.weight!r} {unit if each.weight else 'all'}" for each in found)
    return hash_section(*hashes, *weights)


def _hash_source(
    source: TextSource, folder: Path, key: str, chat: ChatTemplate | None, hash_file: HashFile
) -> str:
    """Hash the content of one source: of its files, or of all texts of a dataset of the hub.

    A name and a revision do not tell two datasets apart: a folder can have the name, and a branch
    moves.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(
        source.model_dump_json(include={"field", "format", "document_characters"}).encode()
    )
    if source.record_format.name != "text":
        digest.update(f"{source.record_format.name} {source.parts.model_dump_json()}".encode())
    if source.where:
        digest.update(repr(sorted(source.where.items())).encode())
    if source.learned != source.record_format.learns[0]:
        digest.update(source.learned.encode())
    if source.hub is not None:
        for document in read_documents(source, folder, key, chat):
            text = document.text.encode()
            digest.update(f"{len(text)} ".encode() + text)
            if document.supervised is not None:
                digest.update(repr(document.supervised).encode())
            if document.label is not None:
                digest.update(f"label {document.label}\0".encode())
        return digest.hexdigest()
    if source.record_format.is_image:
        digest.update(hash_image_files(source, folder, key).encode())
    patterns = file_patterns(source, folder)
    for path in resolve_files(patterns, folder, f"{key}.files", source.format) if patterns else ():
        digest.update(format_of(path, source.format).encode() + hash_file(path).encode())
    return digest.hexdigest()


def _hash_documents(
    documents: Iterable[Document], name: str, first: Portion
) -> npt.NDArray[np.uint64]:
    """Hashes of all documents that hold text, sorted."""
    hashes = np.array([hash_text(d.text) for d in documents if not d.is_empty], dtype=np.uint64)
    if not len(hashes):  # of one source; of several each is looked at
        raise no_documents(first, f"`{name}`")
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


def _evenly_spaced(n: int, limit: int) -> npt.NDArray[np.int64]:
    """Indices of so many of n things, or of all."""
    return np.unique(np.linspace(0, n - 1, min(limit, n)).round().astype(np.int64))
