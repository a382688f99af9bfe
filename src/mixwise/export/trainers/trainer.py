"""What a trainer is to an exporter: what it reads, what a weight means there, and its file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mixwise.errors import RecipeError, printable
from mixwise.export.handover import HandedDomain, HandedSource, Handover, LongRows
from mixwise.recipe import HubDataset

Layout = Literal["as it stands", "text", "prompt-completion", "messages", "sharegpt"]
HubPart = Literal["config", "split", "revision"]
_PATTERNS = "*?[]\n"  # of which trainers make other paths


@dataclass(frozen=True, slots=True)
class Reads:
    """What rows a trainer takes from where they lie.

    Args:
        records: Record formats, each with the layout of its parts that is usual there.
        suffixes: Last suffixes of files that it opens, compressions among them.
        renames: Record formats whose parts may have other names than the usual ones.
        many_files: Whether a dataset may be several files.
        hub: What can be said of a dataset of the hub; None where it takes files alone.
        one_layout: Whether all datasets must have the same columns.
        texts_apart: Whether a run is of texts or of other rows, and never of both.
    """

    records: tuple[str, ...]
    suffixes: tuple[str, ...]
    renames: tuple[str, ...] = ()
    many_files: bool = True
    hub: tuple[HubPart, ...] | None = ("config", "split", "revision")
    one_layout: bool = False
    texts_apart: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """A trainer's files.

    Args:
        lines: Of the file, without line ends and without the comment at its head.
        weights: What the trainer is told of each domain.
        beside: Other files that it names: their texts, by path.
        notes: More lines of the comment.
    """

    lines: tuple[str, ...]
    weights: Mapping[str, float]
    beside: Mapping[Path, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trainer:
    """A row of the table of trainers.

    Args:
        name: Name on the command line.
        title: Its name and the release that this was written for.
        file: Name of its file.
        weight: What a weight means there, in a sentence.
        use: How the file is used, in a sentence.
        long_rows: What it makes of conversations and pairs beyond the sequence length, as its file
            sets it; texts it packs or splits.
        reads: What rows it takes.
        render: A hand-over in and the path of the file, its text out.
        most_epochs: How often it can read a file in one run; None for any number.
        layouts: In what layouts written rows may be, the first that fits.
    """

    name: str
    title: str
    file: str
    weight: str
    use: str
    long_rows: LongRows
    reads: Reads
    render: Callable[[Handover, Path], Rendered]
    most_epochs: float | None = None
    layouts: tuple[Layout, ...] = ("as it stands", "text", "prompt-completion", "messages")


_USUAL: Mapping[str, Mapping[str, str]] = {
    "text": {"text": "text"},
    "prompt-completion": {"prompt": "prompt", "completion": "completion"},
    "chat": {"messages": "messages"},
    "sharegpt": {"conversations": "conversations"},
    "alpaca": {"instruction": "instruction", "input": "input", "output": "output"},
}  # names of parts that every trainer knows


def require_readable(handover: Handover, trainer: Trainer) -> None:
    """Refuse what the trainer could not be told, or would read otherwise than was measured.

    Raises:
        RecipeError: Names the first domain that it cannot take as it lies, and the remedy.
    """
    for domain in handover.domains:
        for reason in _reasons(domain, trainer):
            raise _refused(domain.name, trainer, reason)
    if trainer.reads.texts_apart and len({domain.is_text for domain in handover.domains}) > 1:
        texts = next(domain.name for domain in handover.domains if domain.is_text)
        raise RecipeError(
            f"`domains.{texts}`: {trainer.title} reads texts or conversations in one run, but the "
            "mixture has both: export the stream of tokens (`--to stream`)"
        )
    first = handover.domains[0]
    for other in handover.domains[1:] if trainer.reads.one_layout else ():
        if _layout(other.source) != _layout(first.source):
            raise _refused(
                other.name,
                trainer,
                f"one kind of rows, but these are other ones than those of `{first.name}`",
            )


def _refused(name: str, trainer: Trainer, takes: str) -> RecipeError:
    return RecipeError(
        f"`domains.{name}`: {trainer.title} takes {takes}: add `--materialise`, which writes the "
        "rows themselves"
    )


def _layout(source: HandedSource) -> tuple[str, Mapping[str, object]]:
    return source.records, source.fields


def _reasons(domain: HandedDomain, trainer: Trainer) -> Iterator[str]:
    reads, source = trainer.reads, domain.source
    if len(domain.sources) > 1:
        yield f"one source a dataset, but this domain has {len(domain.sources)}"
    if source.where:
        yield f"whole files, but `where` chooses rows ({printable(str(dict(source.where)), 80)})"
    yield from _reasons_of_records(source, reads)
    if source.hub is not None:
        yield from _reasons_of_hub(source.hub, reads)
    else:
        yield from _reasons_of_files(source, reads)
    epochs = domain.epochs(trainer.long_rows)
    if trainer.most_epochs is not None and epochs > trainer.most_epochs:
        yield f"each row once, but the mixture reads these {epochs:.2f} times"


def _reasons_of_records(source: HandedSource, reads: Reads) -> Iterator[str]:
    if source.records not in reads.records:
        yield f"{' and '.join(reads.records)} records, but these are {source.records}"
    elif source.records not in reads.renames:
        for part, name in _USUAL[source.records].items():
            if source.fields.get(part) != name:
                yield f"`{name}` by this name alone, but it is `{source.fields.get(part)}`"
    if source.fields.get("separator"):
        yield "prompts without a separator, but there is one"
    more = [p for p in ("system", "prompt") if source.fields.get(p) and source.records != "alpaca"]
    if more and source.records in ("chat", "sharegpt"):
        yield f"turns alone, but `{more[0]}` stands beside them"


def _reasons_of_hub(hub: HubDataset, reads: Reads) -> Iterator[str]:
    if reads.hub is None:
        yield f"files, but `{printable(hub.dataset, 80)}` is a dataset of the hub"
        return
    if hub.stream_rows is not None:
        yield f"whole datasets of the hub, but of this one {hub.stream_rows:,} rows are read"
    said: Mapping[HubPart, str | None] = {
        "config": hub.config,
        "split": None if hub.split == "train" else hub.split,
        "revision": hub.revision,
    }
    for part, value in said.items():
        if value is not None and part not in reads.hub:
            yield f"no {part} of a dataset of the hub, but it is `{printable(value, 80)}`"


def _reasons_of_files(source: HandedSource, reads: Reads) -> Iterator[str]:
    if source.format == "text":
        yield "rows, but this is plain text, which mixwise cuts into documents"
    if source.format == "tsv":
        yield "tables of commas, but this one has tabs"
    for file in source.files:
        if file.suffix.lower() not in reads.suffixes:
            yield f"files that end in {', '.join(reads.suffixes)}, but this is {file.name}"
        if odd := unreadable_sign(file):
            yield f"paths without {odd}, but this is {printable(str(file))}"
    if len(source.files) > 1 and not reads.many_files:
        yield f"one file a dataset, but this domain has {len(source.files)}"


def unreadable_sign(path: Path) -> str:
    """The first sign of a path that trainers take for a pattern of many; empty for none."""
    odd = next((sign for sign in _PATTERNS if sign in str(path)), "")
    return f"`{printable(odd)}`" if odd else ""


def is_read_as_it_stands(source: HandedSource, reads: Reads) -> bool:
    """Whether a trainer takes rows of this kind as the user's files have them."""
    return not any(_reasons_of_records(source, reads))


def agreed_learning(domains: Sequence[HandedDomain], trainer: str, known: tuple[str, ...]) -> str:
    """What is learned of the rows of domains, of which one run can say one thing.

    Args:
        domains: Those that it is said of.
        trainer: Name of the trainer, for the error text.
        known: What the trainer can learn.

    Raises:
        RecipeError: If domains differ in it, or the trainer cannot do it.
    """
    learned = {domain.source.learn for domain in domains}
    if len(learned) > 1 or not learned <= set(known):
        raise RecipeError(
            f"`learn`: {trainer} learns {' or '.join(known)} of all domains, but they have "
            f"{', '.join(sorted(learned))}: set `learn` alike, or export the stream, whose labels "
            "say it"
        )
    return learned.pop()


def base_keys(handover: Handover, base: str, revision: str) -> dict[str, Any]:
    """The base by a trainer's own keys.

    Args:
        handover: The mixture.
        base: Key of the base.
        revision: Key of its revision on the hub.
    """
    return {base: handover.base} | ({revision: handover.revision} if handover.revision else {})
