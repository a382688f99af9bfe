"""Valid input made hostile: bytes changed at random, and values replaced by what breaks programs.

Method:
    Half of the inputs are changed as bytes (bits, numbers, pieces cut, doubled, put in from another
    seed or from a list of what has broken parsers), which finds what a reader makes of a file that
    is damaged. The others are changed as values and written out whole, which gets past the parser
    to whoever trusts what it holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

TEXTS: tuple[str, ...] = (
    "",
    " ",
    "\x00",
    "\x1b[2J\x1b]0;owned\x07",
    "a\nmixwise: error: forged",
    "\u202egpj.exe",
    "\u2028",
    "\ud800",
    "ünï",
    "../../outside/secret",
    "/etc/passwd",
    "~root",
    "file:///etc/passwd",
    "http://169.254.169.254/latest",
    "<script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "{% for i in range(10) %}x{% endfor %}",
    "!!python/object/apply:os.system ['touch owned']",
    "*",
    "**/*",
    "[",
    "`",
    "%s%n",
    "{0.__class__}",
    "NaN",
    "null",
    "true",
    "1e999",
    "-0",
    "9" * 5000,
    "x" * 300,
    "x" * 5000,
    "a.b.c",
    "=",
    ",",
    "uniform",
    "best",
    "__proto__",
)
NUMBERS: tuple[Any, ...] = (
    0,
    -1,
    1,
    2**31,
    2**63,
    -(2**63) - 1,
    10**30,
    10**400,
    0.0,
    -0.0,
    5e-324,
    1e308,
    0.1,
    float("nan"),
    float("inf"),
    float("-inf"),
)
OTHERS: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    [None],
    {"": None},
    ["a", 1, {}],
    {"a": []},
)
PIECES: tuple[bytes, ...] = (
    *(text.encode(errors="surrogatepass") for text in TEXTS),
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xc3\x28",
    b"\r",
    b"\r\n",
    b"\t",
    b"---\n",
    b"&a [*a]",
    b"? ",
    b": ",
    b"!!binary x",
    b"!!timestamp x",
    b"!!int ''",
    b"<<: *a",
    b"\\ud800",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"1" * 5000,
    b'"',
    b"'",
    b"{",
    b"}",
    b"]",
    b"#",
)


def hostile_value(rng: Random) -> Any:
    """A value that has broken a program somewhere."""
    return rng.choice(rng.choice((TEXTS, TEXTS, NUMBERS, OTHERS)))


def mutate_value(value: Any, rng: Random) -> Any:
    """A copy of a value in which one place is another, is gone, is twice or is renamed."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        return _mutate_mapping(value, rng)
    if isinstance(value, list) and value and rng.random() < 0.8:
        return _mutate_list(value, rng)
    return hostile_value(rng)


def _mutate_mapping(value: dict[Any, Any], rng: Random) -> dict[Any, Any]:
    key = rng.choice(list(value))
    draw = rng.random()
    if draw < 0.75:
        return value | {key: mutate_value(value[key], rng)}
    if draw < 0.85:
        return {name: each for name, each in value.items() if name != key}
    if draw < 0.95:
        name = rng.choice(TEXTS)
        return {name if each == key else each: held for each, held in value.items()}
    return value | {rng.choice(TEXTS): hostile_value(rng)}


def _mutate_list(value: list[Any], rng: Random) -> list[Any]:
    at = rng.randrange(len(value))
    draw = rng.random()
    if draw < 0.7:
        return [*value[:at], mutate_value(value[at], rng), *value[at + 1 :]]
    if draw < 0.85:
        return [*value[:at], *value[at + 1 :]]
    return [*value, *value[: at + 1]]


def mutate_bytes(content: bytes, rng: Random, others: Sequence[bytes] = ()) -> bytes:
    """Bytes of which one to eight places are changed."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        content = rng.choice(_CHANGES)(content, rng)
    if others and rng.random() < 0.1:
        other = rng.choice(others)
        content = content[: rng.randint(0, len(content))] + other[rng.randint(0, len(other)) :]
    return content


def _flip(content: bytes, rng: Random) -> bytes:
    if not content:
        return b"\x00"
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def _insert(content: bytes, rng: Random) -> bytes:
    at = rng.randint(0, len(content))
    return content[:at] + rng.choice(PIECES) + content[at:]


def _overwrite(content: bytes, rng: Random) -> bytes:
    at, piece = rng.randint(0, len(content)), rng.choice(PIECES)[:64]
    return content[:at] + piece + content[at + len(piece) :]


def _cut(content: bytes, rng: Random) -> bytes:
    start = rng.randint(0, len(content))
    return content[:start] + content[start + rng.choice((1, 4, 32, 1024)) :]


def _truncate(content: bytes, rng: Random) -> bytes:
    return content[: rng.randint(0, len(content))]


def _double(content: bytes, rng: Random) -> bytes:
    start = rng.randint(0, len(content))
    piece = content[start : start + rng.choice((1, 16, 256))]
    return content[:start] + piece * rng.choice((1, 2, 50)) + content[start:]


def _renumber(content: bytes, rng: Random) -> bytes:
    """Another number in the place of one that stands there as text."""
    places = list(re.finditer(rb"-?\d+(?:\.\d+)?", content[:20_000]))
    if not places:
        return _insert(content, rng)
    place = rng.choice(places)
    number = rng.choice((*NUMBERS[:8], "1e999", "-1", "nan", ".5", "1_000", "0x10", "1:30"))
    return content[: place.start()] + str(number).encode()[:4000] + content[place.end() :]


_CHANGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    _flip,
    _flip,
    _insert,
    _insert,
    _overwrite,
    _cut,
    _truncate,
    _double,
    _renumber,
    _renumber,
)


def mutate_json(content: bytes, rng: Random) -> bytes:
    """JSON, or JSON lines, with values replaced and written out anew."""
    lines = content.decode().splitlines()
    at = rng.randrange(len(lines))
    whole = len(lines) > 1 and not lines[0].startswith("{")
    value = json.loads(content.decode() if whole else lines[at])
    for _ in range(rng.choice((1, 1, 2))):
        value = mutate_value(value, rng)
    text = json.dumps(value)
    return (text if whole else "\n".join([*lines[:at], text, *lines[at + 1 :]])).encode()
