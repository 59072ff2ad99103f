"""Guesses what was meant by a word that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def close_match(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that is written most like `word`, whatever the case; `None` if none comes near."""
    spelling = {choice.casefold(): choice for choice in choices}
    close = difflib.get_close_matches(word.casefold(), spelling, n=1)
    return spelling[close[0]] if close else None


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ` Did you mean 'choice'?` for the closest choice, or nothing."""
    close = close_match(word, choices)
    return f" Did you mean {close!r}?" if close else ""
