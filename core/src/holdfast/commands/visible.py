"""Texts from elsewhere, made fit to be shown: nothing in them may move the cursor or change the terminal."""

from __future__ import annotations

import json
import re
from typing import Any

# Control characters but line feed, the separators that some terminals break lines at, the marks that turn the
# direction of what follows, and halves of characters, which cannot be encoded.
_HOSTILE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_HOSTILE_IN_JSON = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT = {"\t": r"\t", "\r": r"\r"}


def visible(text: object, *, lines: bool = False) -> str:
    """`text` with every character that a terminal would obey written out, as in `\\x1b`.

    Args:
        text: anything; what is not a text is made one.
        lines: keep line breaks and turn tabs into blanks, for text that is shown as a block; else they are written
            out, too, so that the result is one line.
    """
    shown = str(text)
    if lines:
        return _HOSTILE.sub(_escape, shown.replace("\r\n", "\n").replace("\t", "    "))
    return _HOSTILE.sub(_escape, shown).replace("\n", r"\n")


def json_text(value: Any) -> str:
    """`value` as JSON on one line, readable, with the characters above as escapes, which mean the same to a program."""
    return visible_json(json.dumps(value, ensure_ascii=False))


def visible_json(text: str) -> str:
    """A JSON text with the characters above as escapes."""
    return _HOSTILE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
