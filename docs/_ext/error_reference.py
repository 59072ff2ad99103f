"""The reference of errors, from the classes and docstrings of `holdfast.errors`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import holdfast.errors


def errors() -> str:
    """Return the tree as it is drawn in the module, and a section for every class."""
    drawing = "\n".join(
        line for line in (holdfast.errors.__doc__ or "").splitlines() if re.match(r"    \s*(\w+Error\b|[├└│])", line)
    )
    parts = ["```text", inspect.cleandoc("\n" + drawing), "```", ""]
    for kind in _tree(holdfast.errors.HoldfastError):
        bases = [f"`{base.__name__}`" for base in kind.__bases__ if base is not Exception]
        parts += [f"### `{kind.__name__}`", ""]
        parts += [f"Is a {' and a '.join(bases)}.", ""] if bases else []
        parts += [_text(inspect.getdoc(kind) or ""), ""]
    return "\n".join(parts)


def _tree(kind: type) -> Iterator[type]:
    yield kind
    for child in kind.__subclasses__():
        # A class with two parents of ours stands under the first.
        if child.__module__ == holdfast.errors.__name__ and child.__bases__[0] is kind:
            yield from _tree(child)


def _text(docstring: str) -> str:
    """Turn the section of attributes into a list."""
    text, _, attributes = docstring.partition("\nAttributes:\n")
    items = re.sub(r"^    (\w+): ", r"* `\1`: ", attributes, flags=re.MULTILINE)
    return f"{text.strip()}\n\n{inspect.cleandoc(items)}".strip()
