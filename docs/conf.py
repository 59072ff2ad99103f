"""Configuration of Sphinx."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "holdfast"
author = "The holdfast authors"
release = version = version_of("holdfast")

extensions = ["myst_parser", "generated"]
exclude_patterns = ["_build"]
nitpicky = True  # a reference to nothing is an error
myst_heading_anchors = 3  # sections can be linked to from other pages

html_theme = "furo"
html_title = f"holdfast {version}"
