"""The reference of the Python API: every public name, from its docstring."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import mixwise

_HEAD = """\
# The Python API

Made by `python -m tools.docs.reference` from the docstrings of the public names of `mixwise`.
`import mixwise` loads none of them; each is loaded when it is first used.
"""


def render_python_page() -> str:
    """The page, as Markdown with a directive of Sphinx for each name."""
    return "\n".join([_HEAD, *_table(), *_directives()])


def _names() -> list[str]:
    return [name for name in mixwise.__all__ if name != "__version__"]


def _table() -> Iterator[str]:
    yield "| name | what it is |\n|---|---|"
    for name in _names():
        value = getattr(mixwise, name)
        documented = callable(value)
        first = (inspect.getdoc(value) or "").split("\n\n")[0] if documented else "a request"
        meaning = " ".join(first.split()).replace("``", "`").replace("|", "\\|")
        yield f"| `{name}` | {meaning} |"


def _directives() -> Iterator[str]:
    for name in _names():
        value = getattr(mixwise, name)
        if not callable(value):
            continue
        kind = "class" if inspect.isclass(value) else "function"
        yield f"\n## {name}\n"
        yield "```{eval-rst}"
        yield f".. auto{kind}:: mixwise.{name}"
        if kind == "class":
            yield "   :members:"
        yield "```"
