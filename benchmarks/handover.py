"""What trainers draw from exported mixtures, against what was recommended: a round trip a trainer.

Notation:
    drawn: shares of tokens of what the trainer's own code draws from the exported file.
    off: the largest difference to the recommended shares, in points.
    mean off: the same of the mean over four seeds of the run, which chance moves half as far.
    batch: tokens of one batch over those of the run, in points.

Method:
    Studies of texts and of conversations are written, whose domains have rows of some 27, 1,000 and
    160 tokens. Each trainer that is installed here reads what
    was exported to it, by its loader or its compiled sampler; of others that is said. Shares of
    tokens are given to `interleave_datasets` as they are, too, for what that costs. Then rows are
    written, exact to the row, and the trainer loads them. What `mixwise init` takes over from an
    exported configuration must be the files that it was made from; ms-swift's, which is exported as
    words of the shell, is given to it, with its `model`, as the YAML that `swift sft` reads too.
    Where a configuration holds no texts `init` must refuse it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import yaml
from benchmarks.handover_bed import BATCH_TOKENS, SHARES, Bed, open_bed, trainer_named
from benchmarks.handover_peers import PEERS, Peer, Tokens, shell_arguments

from mixwise.errors import MixwiseError
from mixwise.stages.trainers.read import read_config

_ONCE = {"short": 0.4, "long": 0.6}  # each row at most once
_MORE_SEEDS = (2, 3, 4)
_TOKENS = 2**18
_TOKENS_ONCE = 2**16
_READ_BY_INIT = ("trl", "axolotl", "llamafactory", "ms-swift")
_KINDS = {"text": "texts", "chat": "messages", "sharegpt": "ShareGPT turns"}
_WRITTEN = ("trl", "axolotl", "llamafactory", "llamafactory-v1", "ms-swift", "huggingface")


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """What came back of one export.

    Args:
        peer: The trainer.
        wanted: Recommended shares.
        drawn: Drawn shares; None where it is not installed.
        off: Largest difference, in points.
        mean_off: The same of the mean over seeds.
        written_off: The same of rows that were written; None where that was not tried.
        init: What `init` makes of the configuration, in words.
    """

    peer: Peer
    wanted: Mapping[str, float]
    drawn: Mapping[str, float] | None
    off: float | None
    mean_off: float | None
    written_off: float | None
    init: str


def shares_of(tokens: Tokens) -> dict[str, float]:
    """Shares of tokens."""
    total = sum(tokens.values())
    return {name: n / total for name, n in tokens.items()}


def points_off(drawn: Mapping[str, float], wanted: Mapping[str, float]) -> float:
    """Largest difference of two mixtures, in points."""
    return 100 * max(abs(drawn.get(name, 0.0) - share) for name, share in wanted.items())


def round_trip(peer: Peer, bed: Bed) -> RoundTrip:
    """Export to a trainer, and let it draw."""
    wanted = {domain.name: domain.share for domain in bed.handover.domains}
    trainer = trainer_named(peer.name)
    file, _ = bed.export(trainer)
    init = _read_back(file, bed, is_read=peer.name in _READ_BY_INIT)
    if not peer.version:
        return RoundTrip(peer, wanted, None, None, None, None, init)
    draws = [shares_of(peer.draw(bed, file)), *(_draw_again(peer, bed, s) for s in _MORE_SEEDS)]
    drawn = draws[0]
    mean = {name: fmean(each[name] for each in draws) for name in wanted}
    written_off = None
    if peer.name in _WRITTEN:
        rows, _ = bed.export(trainer, "jsonl")
        written_off = points_off(shares_of(peer.draw(bed, rows)), wanted)
    off, mean_off = points_off(drawn, wanted), points_off(mean, wanted)
    return RoundTrip(peer, wanted, drawn, off, mean_off, written_off, init)


def _draw_again(peer: Peer, bed: Bed, seed: int) -> dict[str, float]:
    """Shares of another draw."""
    other = bed.with_seed(seed)
    file, _ = other.export(trainer_named(peer.name))
    return shares_of(peer.draw(other, file))


def _read_back(file: Path, bed: Bed, *, is_read: bool) -> str:
    """What `init` makes of an exported configuration."""
    if file.suffix == ".sh" and is_read:
        words = shell_arguments(file)
        file = file.with_suffix(".yaml")
        file.write_text(yaml.safe_dump({"model": bed.handover.base, **_as_keys(words)}))
    try:
        taken = read_config(file, bed.folder)
    except MixwiseError as error:
        return f"FAILS: {error}" if is_read else "refused by name"
    found = [(bed.folder / str(domain.keys["files"])).resolve() for domain in taken.domains]
    is_same = found == [domain.source.file.resolve() for domain in bed.handover.domains]
    return "same files" if is_same and is_read else "OTHER FILES"


def _as_keys(words: list[str]) -> dict[str, str | list[str]]:
    """Words of the shell as keys: a list where several values follow one name."""
    keys: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            values = keys.setdefault(word.removeprefix("--"), [])
        else:
            values.append(word)
    return {name: found[0] if len(found) == 1 else found for name, found in keys.items()}


def naive_shares(shares: Mapping[str, float], bed: Bed) -> dict[str, float]:
    """Shares of tokens that `interleave_datasets` draws where these are its probabilities."""
    from datasets import interleave_datasets, load_dataset

    files = {d.name: str(d.source.file) for d in bed.handover.domains if d.name in shares}
    parts = [load_dataset("json", data_files=file, split="train") for file in files.values()]
    rows = interleave_datasets(parts, probabilities=[shares[name] for name in files], seed=1)
    return shares_of(bed.count(rows["text"], trainer_named("huggingface")))


def print_table(trips: list[RoundTrip], batches: list[float]) -> None:
    """A row a trainer and kind of rows, in Markdown."""
    print(
        "| exporter | rows | read by | recommended | drawn | off | mean off | a batch "
        "| rows written: off | init |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for trip, batch in zip(trips, batches, strict=True):
        peer = trip.peer
        by = f"{peer.by} of {peer.package} {peer.version}" if peer.version else "not installed"
        drawn = "–" if trip.drawn is None else _listed({n: trip.drawn[n] for n in trip.wanted})
        cells = (
            peer.name,
            _KINDS[peer.records],
            by,
            _listed(trip.wanted),
            drawn,
            _points(trip.off),
            _points(trip.mean_off),
            _points(batch),
            _points(trip.written_off),
            trip.init,
        )
        print(f"| {' | '.join(cells)} |")


def _listed(shares: Mapping[str, float]) -> str:
    return " / ".join(f"{100 * share:.1f}" for share in shares.values())


def _points(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _bed_of(peer: Peer, beds: dict[tuple[str, bool], Bed], place: Path) -> Bed:
    """The study of a peer's kind of rows, opened once, whose domains it may read repeatedly."""
    key = (peer.records, peer.repeats)
    if key not in beds:
        shares, tokens = (SHARES, _TOKENS) if peer.repeats else (_ONCE, _TOKENS_ONCE)
        beds[key] = open_bed(place / f"{peer.records}-{peer.repeats}", peer.records, shares, tokens)
    return beds[key]


def main() -> None:
    """Make all round trips, and print them."""
    parser = argparse.ArgumentParser(description="Round trips of exported mixtures.")
    names = list(dict.fromkeys(peer.name for peer in PEERS))
    parser.add_argument("--only", choices=names, help="one trainer")
    chosen = parser.parse_args().only
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        beds: dict[tuple[str, bool], Bed] = {}
        trips, batches = [], []
        for peer in PEERS if chosen is None else [p for p in PEERS if p.name == chosen]:
            bed = _bed_of(peer, beds, place)
            batches.append(100 * BATCH_TOKENS / bed.handover.horizon_tokens)
            with contextlib.redirect_stdout(io.StringIO()):
                trips.append(round_trip(peer, bed))
        print_table(trips, batches)
        if chosen is None:
            half = {"short": 0.5, "long": 0.5}
            naive = naive_shares(half, beds["text", False])
            drawn = _listed({name: naive[name] for name in half})
            print(f"\n50 / 50 by tokens as probabilities of rows, short / long: {drawn}")


if __name__ == "__main__":
    main()
