"""Print the oldest releases that pyproject.toml allows, one requirement a line, for pip.

python tools/lower_bounds.py
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path("pyproject.toml")
_BOUND = re.compile(r"([\w.-]+)\s*>=\s*([\w.]+)")


def requirements(project: str) -> Iterator[str]:
    """Direct dependencies, those of the extra `test` too.

    Args:
        project: Text of a pyproject.toml.
    """
    facts = tomllib.loads(project)["project"]
    yield from facts["dependencies"]
    yield from facts["optional-dependencies"]["test"]


def lower_bounds(project: str) -> list[str]:
    """Each direct dependency at its lower bound.

    Args:
        project: Text of a pyproject.toml.

    Raises:
        ValueError: If a dependency is declared in any other form than `name>=version`.

    Example:
        >>> lower_bounds('''
        ... [project]
        ... dependencies = ["numpy>=2.1"]
        ... optional-dependencies.test = ["pytest>=8"]
        ... ''')
        ['numpy==2.1', 'pytest==8']
    """
    found = []
    for requirement in requirements(project):
        bound = _BOUND.fullmatch(requirement)
        if bound is None:
            raise ValueError(
                f"pyproject.toml: `{requirement}` has no lower bound: write it as `name>=version`"
            )
        found.append(f"{bound[1]}=={bound[2]}")
    return found


if __name__ == "__main__":
    bounds = lower_bounds(PROJECT.read_text(encoding="utf-8"))
    if sys.argv[1:]:
        bounds = [sys.argv[1], *(bound for bound in bounds if not bound.startswith("torch=="))]
    print("\n".join(bounds))
