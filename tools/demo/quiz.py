"""Make the demo's multiple-choice questions out of plain text."""

from __future__ import annotations

import random
import re
from typing import TypedDict

from readers import Document


class Question(TypedDict):
    """A text's beginning, four ways to go on, and the index of the true one."""

    prompt: str
    choices: list[str]
    answer: int


def cut_at_word(text: str, near: int) -> int:
    """The first place from `near` on where a word follows a single space."""
    match = re.compile(r"(?<=\S) (?=\w)").search(text, near)
    return match.start() if match else -1


def quiz_rows(documents: list[Document], per_document: int, rng: random.Random) -> list[Question]:
    """Questions of the form "how does this text go on?", one set of texts at a time.

    The wrong choices are cut from other documents of the same set, equally far into them, so that
    neither language nor subject nor position gives the answer away.
    """
    rows: list[Question] = []
    texts = [re.sub(r"\s+", " ", d.text) for d in documents]
    for index, text in enumerate(texts):
        for turn in range(per_document):
            near = 250 + turn * max(400, (len(text) - 700) // per_document)
            cut = cut_at_word(text, near)
            others = [t for i, t in enumerate(texts) if i != index]
            rng.shuffle(others)
            choices = [
                other[place : place + 60]
                for other in others
                if 0 < (place := cut_at_word(other, min(near, len(other) - 200))) < len(other) - 60
            ][:3]
            right = text[cut : cut + 60]
            if cut < 0 or len(right) < 60 or len({right, *choices}) < 4:
                continue
            start = text.rfind(" ", 0, cut - 200) + 1
            answer = rng.randrange(4)
            choices.insert(answer, right)
            rows.append({"prompt": text[start:cut], "choices": choices, "answer": answer})
    return rows
