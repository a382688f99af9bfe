"""Texts use the field's words; those below have a textbook word that everybody knows."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BANNED = {
    r"foret(?:ell|ells|old)": "predict",
    r"nil": "zero",
    r"eaten": "rounding loss",
    r"beliefs?": "posterior",
    r"believe[sd]?": "trust, or expect",
    r"doubts?": "uncertainty, variance",
    r"luckiest": "incumbent, winner's curse",
}
FILES = sorted(
    path
    for pattern in ("src/**/*.py", "src/**/*.html", "README.md", "docs/**/*.md", "CONTRIBUTING.md")
    for path in ROOT.glob(pattern)
)


def test_there_is_something_to_read() -> None:
    assert len(FILES) > 200


@pytest.mark.parametrize("word", list(BANNED))
def test_words_of_the_field_are_used(word: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(rf"\b(?:{word})\b", line, re.IGNORECASE)
    ]
    assert not found, f"say {BANNED[word]}"
