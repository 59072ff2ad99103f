"""Reference text made from the code, so that it cannot drift: a line `<!-- generated: NAME -->` becomes what NAME returns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import configuration_reference
import error_reference
from holdfast.commands.exit_codes import MEANINGS

if TYPE_CHECKING:
    from sphinx.application import Sphinx

MARKER = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
GENERATORS = {
    "backends": configuration_reference.backends,
    "models": configuration_reference.models,
    "exit_codes": lambda: "\n".join(f"| {code} | {meaning} |" for code, meaning in MEANINGS.items()),
    "errors": error_reference.errors,
}


def replace(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Put the generated Markdown in its place before the page is parsed."""
    source[0] = MARKER.sub(lambda match: GENERATORS[match[1]](), source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("source-read", replace)
    return {"parallel_read_safe": True}
