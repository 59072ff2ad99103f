"""Every example of the README and of the documentation is executed."""

from __future__ import annotations

from pathlib import Path

import pytest

import pages

PAGES = [pages.ROOT / "README.md", *sorted((pages.ROOT / "docs").glob("[!_]*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_do_what_it_says(page: Path, tmp_path: Path) -> None:
    pages.run(page, tmp_path)
