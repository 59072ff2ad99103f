"""The second net under secrets: what looks like one in the configuration is blotted out of everything on stderr.

The first net is that messages never quote a configured value; but the text of an SDK's error is not ours.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from holdfast.endpoints import Endpoints

_SECRET_NAME = re.compile(r"pass|pwd|secret|token|key|credential|auth|sas|signature|connection_?string", re.IGNORECASE)
_SECRET_VARIABLE = re.compile(
    r"(PASS|PASSWORD|PASSWD|_PWD|SECRET|TOKEN|_KEY|CREDENTIALS?|CONNECTION_STRING)$", re.IGNORECASE
)
_SHORTEST = 3  # to blot out every `a` hides nothing
_SHORTEST_IN_ENVIRONMENT = 8  # what only sounds like a secret may be a plain word

_known: set[str] = set()


def remember(endpoints: Endpoints) -> None:
    """Learn the secrets of a configuration that was read."""
    _known.update(_secrets(endpoints.tracker_store.options))
    if endpoints.persistor is not None:
        _known.update(_secrets(endpoints.persistor.options))
    if endpoints.models is not None:
        _known.update(_secrets(endpoints.models.model_dump(), revealed=True))


def redacted(text: str) -> str:
    """`text` without the secrets that were learned and those of the environment."""
    secrets = {secret for secret in _known if len(secret) >= _SHORTEST}
    for name, value in os.environ.items():
        if _SECRET_VARIABLE.search(name) and len(value) >= _SHORTEST_IN_ENVIRONMENT:
            secrets.add(value)
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def _secrets(options: Mapping[str, Any], *, revealed: bool = False) -> Iterator[str]:
    for key, value in options.items():
        yield from _in_value(value, bool(_SECRET_NAME.search(str(key))) or (revealed and key == "headers"))


def _in_value(value: Any, is_secret: bool) -> Iterator[str]:
    reveal = getattr(value, "get_secret_value", None)
    if reveal is not None:
        yield str(reveal())
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _in_value(each, is_secret or bool(_SECRET_NAME.search(str(key))))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _in_value(each, is_secret)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        if is_secret:
            yield str(value)
        elif "@" in str(value):
            yield from _password_in_url(str(value))


def _password_in_url(url: str) -> Iterator[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return
    if password:
        yield password
        yield unquote(password)
