"""The documentation site: Sphinx with MyST, built by `make docs`, offline."""

from importlib.metadata import version as release_of

from sphinx.application import Sphinx

project = "mixwise"
author = "the authors of mixwise"
release = version = release_of("mixwise")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["site"]
html_theme = "furo"
html_title = "mixwise"
html_copy_source = False
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"inherited-members": False}
napoleon_custom_sections = ["Method", "Notation", "Source", "Departures"]


def point_to_examples(app: Sphinx, page: str, text: list[str]) -> None:
    """Links to the READMEs of examples, as they are on GitHub, lead to their pages of the site."""
    for name in ("chat", "heads", "sentiment", "smollm2", "vision"):
        text[0] = text[0].replace(f"../../examples/{name}/README.md)", f"../examples/{name}.md)")


def setup(app: Sphinx) -> None:
    """Let Sphinx know."""
    app.connect("source-read", point_to_examples)
