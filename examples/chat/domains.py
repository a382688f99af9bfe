"""The three domains: questions of a user and what an assistant should answer.

Sums and records are made from templates, the library from the docstrings of this Python, so that
another release of it gives other rows.
"""

from __future__ import annotations

import importlib
import inspect
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

TOWNS = "Lima Oslo Cairo Quito Turin Delft Porto Kyoto Basel Lyon Graz Riga"
_NAMES = "Ana Ben Chloe Dan Emma Finn Grace Hugo Iris Jack Kate Leo Mia Noah Olga Paul"
_THINGS = "apples pens stamps books shells marbles coins cards eggs cups"
_WARES = "lamp chair kettle radio clock mirror carpet drum scarf vase"
_MODULES = """
os os.path math random json re textwrap glob fnmatch csv bisect copy pprint calendar functools
operator inspect ast dis tokenize pickle struct base64 binascii zlib gzip bz2 hashlib hmac secrets
tempfile filecmp linecache locale gettext socket ssl select signal subprocess shlex html
urllib.parse urllib.request email.utils mimetypes platform errno types weakref gc sys traceback
warnings contextlib asyncio threading logging getpass
"""


@dataclass(frozen=True, slots=True)
class Problem:
    """A word problem with its solution."""

    question: str
    steps: str
    result: int


Template = Callable[[str, str, int, int, int], Problem]


def sums(n: int) -> list[tuple[str, str]]:
    """Questions and worked answers of word problems."""
    made = word_problems(n, (_bags, _given, _shared), _NAMES, _THINGS, random.Random(1))
    return [(each.question, f"{each.steps} The answer is {each.result}.") for each in made]


def records(n: int) -> list[tuple[str, str]]:
    """Notes, and what they say as JSON."""
    rng, rows = random.Random(2), {}
    while len(rows) < n:
        text, fields = rng.choice((_birth, _visit, _sale))(rng)
        rows[asked(text, fields)] = json.dumps(fields)
    return list(rows.items())


def library(n: int) -> list[tuple[str, str]]:
    """What functions of Python's standard library do, by their docstrings."""
    rows = [
        (f"What does `{name}` do in Python?", does)
        for module in _MODULES.split()
        for name, does in described(module).items()
    ]
    random.Random(3).shuffle(rows)
    return rows[:n]


def word_problems(
    n: int, templates: Sequence[Template], names: str, things: str, rng: random.Random
) -> list[Problem]:
    """So many different problems.

    Args:
        n: How many.
        templates: Each makes one of a person, things and three numbers.
        names: Persons, with spaces between them.
        things: Things, the same.
        rng: Draws all of them.
    """
    found: dict[str, Problem] = {}
    while len(found) < n:
        numbers = (rng.randint(12, 40), rng.randint(2, 9), rng.randint(2, 9))
        template, name = rng.choice(templates), rng.choice(names.split())
        problem = template(name, rng.choice(things.split()), *numbers)
        found[problem.question] = problem
    return list(found.values())


def asked(text: str, fields: Mapping[str, Any]) -> str:
    """A note, and what it should be written as."""
    return f"{text}\nWrite this as JSON with the keys {', '.join(fields)}."


def described(module: str) -> dict[str, str]:
    """The first sentence of the docstring of each public function, where it is a short one."""
    found: dict[str, str] = {}
    opened, own = importlib.import_module(module), {module, f"_{module}", "posix", "posixpath"}
    for name, member in sorted(vars(opened).items()):
        if name.startswith("_") or getattr(member, "__module__", None) not in own:
            continue
        paragraph = inspect.cleandoc(member.__doc__ or "").split("\n\n")[0]
        sentence = re.split(r"(?<=\.)\s", " ".join(paragraph.split()))[0]
        if 25 <= len(sentence) <= 110 and sentence.endswith(".") and "(" not in sentence:
            found[f"{module}.{name}"] = sentence
    return found


def _bags(name: str, things: str, a: int, b: int, c: int) -> Problem:
    return Problem(
        f"{name} has {a} {things} and buys {b} bags of {c} {things} each. How many {things} does "
        f"{name} have now?",
        f"{b} bags of {c} are {b} x {c} = {b * c}. {a} + {b * c} = {a + b * c}.",
        a + b * c,
    )


def _given(name: str, things: str, a: int, b: int, c: int) -> Problem:
    return Problem(
        f"{name} has {a} {things}, finds {b} more and gives {c} to a friend. How many {things} are "
        "left?",
        f"{a} + {b} = {a + b}. {a + b} - {c} = {a + b - c}.",
        a + b - c,
    )


def _shared(name: str, things: str, a: int, b: int, c: int) -> Problem:
    return Problem(
        f"{name} shares {b * c} {things} among {b} children and keeps {a} others. How many "
        f"{things} does each child get, and how many are there with those that {name} keeps?",
        f"{b * c} / {b} = {c} for each child. {c} + {a} = {a + c}.",
        a + c,
    )


def _birth(rng: random.Random) -> tuple[str, Row]:
    name, town = rng.choice(_NAMES.split()), rng.choice(TOWNS.split())
    year = rng.randint(1920, 2005)
    text = f"{name} was born in {town} in the year {year}, as the second of three children."
    return text, {"name": name, "town": town, "born": year}


def _visit(rng: random.Random) -> tuple[str, Row]:
    name, hour, town = rng.choice(_NAMES.split()), rng.randint(7, 19), rng.choice(TOWNS.split())
    text = f"Please remember: at {hour}:30 {name} arrives by the train that comes from {town}."
    return text, {"visitor": name, "time": f"{hour}:30", "from": town}


def _sale(rng: random.Random) -> tuple[str, Row]:
    name, ware, price = rng.choice(_NAMES.split()), rng.choice(_WARES.split()), rng.randint(11, 98)
    text = f"Yesterday a {ware} was sold to {name}, who paid {price} euros in cash."
    return text, {"buyer": name, "item": ware, "price": price}
