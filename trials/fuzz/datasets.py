"""Kinds of input that hold data: rows of every format, compressed or not, images, runs of `fit`."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import pickle
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from trials.fuzz.kinds import Kind
from trials.fuzz.mutation import mutate_bytes, mutate_json, mutate_value

ROWS: dict[str, list[dict[str, Any]]] = {
    "text": [{"text": "one two", "meta": {"body": "x", "n": 3}}, {"text": "three", "meta": {}}],
    "prompt-completion": [{"prompt": "2+2?", "completion": "4"}] * 2,
    "choice": [{"question": "q", "choices": ["a", "b"], "answer": 1}] * 2,
    "labelled": [{"text": "good", "label": "pos"}, {"text": "bad", "label": "neg"}],
    "chat": [
        {
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "u"},
                {"role": "assistant", "content": "a", "tool_calls": [
                    {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
                ]},
                {"role": "tool", "content": "1"},
                {"role": "assistant", "content": "b"},
            ],
            "tools": [
                {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
            ],
        },
        {
            "messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}],
            "tools": None,
        },
    ],
    "sharegpt": [
        {"conversations": [{"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}]}
    ] * 2,
    "alpaca": [{"instruction": "i", "input": "x", "output": "o"}] * 2,
    "image": [{"image": "in.png", "label": "cat"}, {"image": "in.png", "label": "dog"}],
}  # fmt: skip
Pack = Callable[[bytes], bytes]


def dataset_kinds() -> list[Kind]:
    """All of them."""
    _chat_template()
    lines = [_jsonl(rows) for rows in ROWS.values()]
    arrays = [json.dumps(rows, indent=1).encode() for rows in ROWS.values()]
    tables = [_csv(ROWS[name], ",") for name in ("text", "labelled", "alpaca")]
    tabs = [_csv(ROWS[name], "\t") for name in ("text", "labelled", "alpaca")]
    beside = {"in.png": _image("PNG")}
    texts = [b"One line.\n\nAnother.\n" * 20, "ünï\r\n".encode() * 9, b"no end"]
    kinds = [
        Kind("jsonl", "d.jsonl", lines, _change_lines, partial(_read, "d.jsonl"), 180, beside),
        Kind("json", "d.json", arrays, _change_lines, partial(_read, "d.json"), 90, beside),
        Kind("csv", "d.csv", tables, mutate_bytes, partial(_read, "d.csv"), 90, {}),
        Kind("tsv", "d.tsv", tabs, mutate_bytes, partial(_read, "d.tsv"), 50, {}),
        Kind("text", "d.txt", texts, mutate_bytes, partial(_read, "d.txt"), 50, {}),
        Kind("chat", "d.jsonl", lines[4:7], _change_lines, _read_chat, 50, {}),
        Kind("parquet", "d.parquet", _columnar("parquet"), _change_columns("parquet"),
             partial(_read, "d.parquet"), 40, {}),
        Kind("arrow", "d.arrow", _columnar("arrow"), _change_columns("arrow"),
             partial(_read, "d.arrow"), 40, {}),
        Kind("image", "i.png", _images(), mutate_bytes, _read_image, 40, {}),
        Kind("npy images", "i.npy", [_array(np.zeros((2, 3, 4, 4), np.float32))], _change_array,
             _read_images, 30, {}),
        Kind("npy counts", "i.npy", [_array(np.arange(9)), _array(np.arange(9, dtype=np.uint64))],
             _change_array, _read_counts, 30, {}),
        Kind("runs", "runs.csv", [_runs()], mutate_bytes, _read_runs, 60, {}),
    ]  # fmt: skip
    packed: tuple[tuple[str, Pack], ...] = (
        (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", _zstd),
    )  # fmt: skip
    for suffix, pack in packed:
        file = f"d.jsonl{suffix}"
        change = partial(_change_packed, pack)
        kinds.append(Kind(f"jsonl{suffix}", file, lines[:3], change, partial(_read, file), 10, {}))
    return kinds


def _read(file: str, folder: Path, rng: Random) -> object:
    """The rows as what `init` takes them for, as records of some other format, or as rows."""
    from mixwise.data.recognition import recognise
    from mixwise.data.sources import read_records

    draw = rng.random()
    if draw < 0.1:
        return list(_rows(folder / file))
    if draw < 0.7:
        found = recognise(folder / file)
        is_text = found.records in ("", "text")
        keys: dict[str, Any] = (
            {"field": found.fields.get("text", "text")}
            if is_text
            else {"records": found.records, "fields": found.fields}
        )
    elif draw < 0.85:
        keys = {"records": rng.choice(("text", "prompt-completion", "labelled", "image"))}
    else:
        keys = {"field": rng.choice(("text", "meta.body", "meta", "messages.content"))}
    return list(read_records(_source(file, keys), folder, "domains.a", _chat_template()))


def _source(file: str, keys: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    from mixwise.errors import RecipeError, printable
    from mixwise.recipe import TextSource
    from mixwise.recipe.domains import EvaluationSource

    try:
        if keys.get("records") == "choice":
            return EvaluationSource(files=file, kind="choice", fields=keys["fields"])
        return TextSource(files=file, **keys)
    except ValidationError as error:  # names that no recipe may hold, as its loader refuses them
        raise RecipeError(printable(str(error))) from None


def _rows(path: Path) -> Iterator[object]:
    from mixwise.data.formats import format_of, read_lines
    from mixwise.data.rows import read_rows

    kind = format_of(path)
    return iter(read_lines(path)) if kind == "text" else iter(read_rows(path, kind, ()))


def _read_chat(folder: Path, rng: Random) -> object:
    from mixwise.data.sources import read_records

    first = (folder / "d.jsonl").read_bytes()
    known = (("chat", b"messages"), ("sharegpt", b"conversations"), ("alpaca", b"instruction"))
    records = next((name for name, field in known if field in first), "chat")
    learn = rng.choice(("assistant", "completion", "all"))
    source = _source("d.jsonl", {"records": records, "learn": learn})
    return list(read_records(source, folder, "domains.a", _chat_template()))


@lru_cache(maxsize=1)
def _chat_template() -> Any:
    """A template with tools; made once, before any child is forked."""
    from tests.data.templates import open_template

    with tempfile.TemporaryDirectory() as folder:
        return open_template(Path(folder), "qwen", marked=True)


def _read_image(folder: Path, rng: Random) -> object:
    from mixwise.records.decoding import decode_image, hash_image

    content = folder / "i.png"
    return hash_image(decode_image(content if rng.random() < 0.5 else content.read_bytes(), "i"))


def _read_images(folder: Path, rng: Random) -> object:
    from mixwise.stages.classifier import load_images

    return load_images(folder / "i.npy").mean()


def _read_counts(folder: Path, rng: Random) -> object:
    from mixwise.data.arrays import load_counts

    return load_counts(folder / "i.npy").sum()


def _read_runs(folder: Path, rng: Random) -> object:
    from mixwise.swarm import Asked, fit_swarm, parse_space, read_swarm

    asked = Asked(domains=("math", "code")) if rng.random() < 0.3 else Asked()
    table = read_swarm([folder / "runs.csv"], asked)
    if rng.random() < 0.05:
        return fit_swarm(table, parse_space(table.domains), prefer="uniform", seed=0)
    return table.spreads


def _change_lines(content: bytes, rng: Random) -> bytes:
    draw = rng.random()
    if draw < 0.005:
        return rng.choice((b"[" * 100_000, b'{"text":' * 50_000, b'{"text": "' + b"ab " * 10**6))
    return mutate_bytes(content, rng) if draw < 0.4 else mutate_json(content, rng)


def _change_packed(pack: Pack, content: bytes, rng: Random) -> bytes:
    draw = rng.random()
    if draw < 0.01:  # 300 MB of zeros, or one line of them
        return pack(rng.choice((bytes(3 * 10**8), b" " * (3 * 10**8))))
    if draw < 0.5:
        return mutate_bytes(pack(content), rng)
    return pack(mutate_bytes(content, rng))


def _change_array(content: bytes, rng: Random) -> bytes:
    """Bytes, or a header of another type or shape than the values have."""
    if rng.random() < 0.5:
        return mutate_bytes(content, rng)
    kinds = ("<f4", "<f8", "<i8", "|u1", "|b1", "|O", "<U9", "<U0", "|V4", "<c8", "<M8[s]", "x", 4)
    shapes = ((10**12,), (-1,), (2, 3), (0,), (10**30,), ("a",), (2**62, 2**62), (), (24,), [24])
    head = {"descr": rng.choice(kinds), "fortran_order": False, "shape": rng.choice(shapes)}
    text = repr(mutate_value(head, rng) if rng.random() < 0.3 else head).encode("utf-8", "replace")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    values = content[128:]
    if rng.random() < 0.2:
        values = pickle.dumps(["of whatever"])
    return b"\x93NUMPY\x01\x00" + (len(text) % 2**16).to_bytes(2, "little") + text + values


def _array(values: Any) -> bytes:
    sink = io.BytesIO()
    np.save(sink, values)
    return sink.getvalue()


def _columnar(kind: str) -> list[bytes]:
    chosen = ("text", "prompt-completion", "choice", "chat")
    return [_write_columns(kind, ROWS[name]) for name in chosen]


def _change_columns(kind: str) -> Callable[[bytes, Random], bytes]:
    def change(content: bytes, rng: Random) -> bytes:
        if rng.random() < 0.7:
            return mutate_bytes(content, rng)
        rows = mutate_value(ROWS[rng.choice(list(ROWS))], rng)
        try:
            return _write_columns(kind, rows)
        except Exception:  # not every value has a place in a column
            return mutate_bytes(content, rng)

    return change


def _write_columns(kind: str, rows: Any) -> bytes:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pylist(rows)
    sink = pyarrow.BufferOutputStream()
    if kind == "parquet":
        pyarrow.parquet.write_table(table, sink)
    else:
        with pyarrow.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    return bytes(sink.getvalue())


def _zstd(content: bytes) -> bytes:
    import pyarrow

    return bytes(pyarrow.compress(content, codec="zstd", asbytes=True))


def _image(kind: str, **saved: Any) -> bytes:
    from PIL import Image

    picture = Image.new("RGB" if kind != "GIF" else "P", (8, 6), 3)
    sink = io.BytesIO()
    picture.save(sink, kind, **saved)
    return sink.getvalue()


def _images() -> list[bytes]:
    kinds = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
    return [*map(_image, kinds), _image("TIFF", compression="tiff_lzw")]


def _jsonl(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _csv(rows: list[dict[str, Any]], delimiter: str) -> bytes:
    sink = io.StringIO()
    writer = csv.DictWriter(sink, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue().encode()


def _runs() -> bytes:
    rng = Random(0)
    lines = ["run,math,code,web,dev_loss,acc"]
    for number in range(12):
        cuts = sorted((rng.random(), rng.random()))
        shares = (cuts[0], cuts[1] - cuts[0], 1 - cuts[1])
        lines.append(
            ",".join([f"r{number}", *(f"{s:.4f}" for s in shares), f"{2 - cuts[0]:.3f}", "0.5"])
        )
    return "\n".join(lines).encode()
