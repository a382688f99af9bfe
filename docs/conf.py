"""The documentation site: Sphinx with MyST, built by `make docs`, offline."""

from importlib.metadata import version as release_of

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
