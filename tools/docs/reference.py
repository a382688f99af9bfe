"""Write the reference pages of the documentation from the code.

    python -m tools.docs.reference

`make docs` runs it; a test compares the pages with what the code says now.
"""

from __future__ import annotations

from pathlib import Path

from tools.docs.command_page import render_command_page
from tools.docs.python_page import render_python_page
from tools.docs.recipe_page import render_recipe_page

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES = {
    "recipe.md": render_recipe_page,
    "commands.md": render_command_page,
    "python.md": render_python_page,
}


def main() -> None:
    """Write each page."""
    for name, render in PAGES.items():
        (FOLDER / name).write_text(render().rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
