"""The four tasks: what models are measured on, asked otherwise than the domains ask.

Other wordings and numbers, other notes with other keys, other modules. `words` is none of the
domains: what must not get worse.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from examples.chat.domains import TOWNS, Problem, Row, asked, described, word_problems

_NAMES = "Rosa Sam Tara Uwe Vera Will Xenia Yusuf Zoe Adam Bella Carl"
_THINGS = "plums keys badges ribbons tickets buttons"
_MODULES = "shutil statistics heapq itertools unicodedata zipfile ipaddress curses"
_WORDS = (  # word, what it is, and two other things that it is not
    ("anchor", "a heavy hook that holds a ship in its place", "a road", "a kind of bread"),
    ("bakery", "a shop where bread is made and sold", "a tool for digging", "a river bird"),
    ("candle", "a stick of wax that is burned for light", "a small boat", "a sour fruit"),
    ("desert", "a dry land where little rain falls", "a sweet drink", "a lock of a door"),
    ("elbow", "the joint in the middle of the arm", "the roof of a house", "a warm coat"),
    ("ferry", "a boat that carries people across water", "a school book", "a loud bell"),
    ("glove", "a piece of clothing for the hand", "a field of wheat", "a musical note"),
    ("harbour", "a sheltered place where ships lie", "a garden tool", "a slice of ham"),
    ("island", "land with water all around it", "a box for letters", "a fast horse"),
    ("jacket", "a short coat", "a narrow street", "a soft cheese"),
    ("kitchen", "a room where food is cooked", "a deep lake", "a long poem"),
    ("ladder", "two poles with steps between them", "a grain of salt", "a wild cat"),
    ("mountain", "land that rises very high", "a sheet of paper", "a pair of shoes"),
    ("needle", "a thin tool for sewing", "a wide river", "a morning meal"),
    ("orchard", "a place where fruit trees grow", "a kind of hammer", "a sad song"),
    ("pillow", "a soft cushion for the head", "a train station", "a sharp knife"),
    ("quarry", "a place where stone is dug", "a bowl of soup", "a paper hat"),
    ("river", "a large stream of water", "a woollen sock", "a wooden chair"),
    ("saddle", "a seat on the back of a horse", "a cloud of smoke", "a row of houses"),
    ("teacher", "a person who helps others to learn", "a loaf of bread", "a metal pipe"),
    ("umbrella", "a thing that keeps off the rain", "a slow dance", "a young sheep"),
    ("village", "a small group of houses", "a bitter leaf", "a pair of scissors"),
    ("winter", "the coldest season of the year", "a round table", "a glass of milk"),
    ("yolk", "the yellow part of an egg", "a stone bridge", "a letter of law"),
    ("bridge", "a way built across a river", "a kind of berry", "a night shirt"),
    ("cradle", "a small bed for a baby", "a piece of chalk", "a strong wind"),
    ("doctor", "a person who treats the sick", "a pot of paint", "a flat stone"),
    ("engine", "a machine that drives a car", "a green meadow", "a silk ribbon"),
    ("forest", "a large place full of trees", "a cup of coffee", "a copper coin"),
    ("guitar", "an instrument with six strings", "a heap of sand", "a bus driver"),
    ("hospital", "a house where the sick are treated", "a jar of honey", "a dry leaf"),
    ("insect", "a small animal with six legs", "a silver spoon", "a front door"),
    ("judge", "a person who decides in court", "a bag of flour", "a steep hill"),
    ("library", "a place where books are lent", "a bar of soap", "a brown dog"),
    ("market", "a place where goods are sold", "a broken leg", "a bright star"),
    ("ocean", "a very large sea", "a leather belt", "a cold breakfast"),
    ("pencil", "a thing to write with", "a herd of cows", "a lost key"),
    ("shoulder", "where the arm meets the body", "a bunch of grapes", "a ring of gold"),
    ("tailor", "a person who makes clothes", "a frozen pond", "a heavy stone"),
    ("window", "an opening of glass in a wall", "a deck of cards", "a tired man"),
)


def problems(n: int) -> list[Row]:
    """Word problems of other kinds, with a right worked answer among wrong ones."""
    rng = random.Random(4)
    rows = []
    for made in word_problems(n, (_rows_sold, _boxes_lost), _NAMES, _THINGS, rng):
        wrong = rng.sample([made.result + k for k in (-10, -3, -2, -1, 1, 2, 3, 10)], 3)
        results = (made.result, *wrong)
        answers = [f"{made.steps}{each}. The answer is {each}." for each in results]
        rows.append(_choice(made.question, answers, rng))
    return rows


def forms(n: int) -> list[Row]:
    """Notes of another kind, and the JSON that is wanted."""
    rng, rows = random.Random(5), {}
    while len(rows) < n:
        name, town = rng.choice(_NAMES.split()), rng.choice(TOWNS.split())
        nights, room = rng.randint(2, 9), rng.randint(10, 99)
        text = f"Guest {name} has come from {town} and stays in room {room} for {nights} nights."
        fields = {"guest": name, "from": town, "nights": nights}
        rows[asked(text, fields)] = json.dumps(fields)
    return [{"question": question, "answer": answer} for question, answer in rows.items()]


def functions(n: int) -> list[Row]:
    """Functions of other modules, with what they do among what their neighbours do."""
    rng, rows = random.Random(6), []
    for module in _MODULES.split():
        sentences = described(module)
        for name, does in sentences.items():
            others = sorted(set(sentences.values()) - {does})
            if len(others) >= 3:
                question = f"What does `{name}` do in Python?"
                rows.append(_choice(question, [does, *rng.sample(others, 3)], rng))
    rng.shuffle(rows)
    return rows[:n]


def words(n: int) -> list[Row]:
    """What everyday words mean; none of the domains teaches it."""
    rng, rows = random.Random(7), []
    for word, *meanings in _WORDS[:n]:
        answers = [f"{each[0].upper()}{each[1:]}." for each in meanings]
        rows.append(_choice(f"What is the meaning of the word '{word}'?", answers, rng))
    return rows


def _rows_sold(name: str, things: str, a: int, b: int, c: int) -> Problem:
    return Problem(
        f"On a shelf of {name}'s shop {b} rows of {c} {things} stand beside {a} others. How many "
        f"{things} are on the shelf?",
        f"{b} x {c} = {b * c}. {a} + {b * c} = ",
        a + b * c,
    )


def _boxes_lost(name: str, things: str, a: int, b: int, c: int) -> Problem:
    return Problem(
        f"{name} had {a} {things} in a box, lost {c} of them and got {b} as a present. How many "
        f"{things} does {name} have?",
        f"{a} - {c} = {a - c}. {a - c} + {b} = ",
        a - c + b,
    )


def _choice(question: str, answers: Sequence[str], rng: random.Random) -> Row:
    """A question whose first answer is right, its answers in another order."""
    shuffled = rng.sample(answers, len(answers))
    return {"question": question, "choices": shuffled, "answer": shuffled.index(answers[0])}
