"""What a plugin hands over: its configuration model and how to open it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from holdfast.errors import BackendError


class _Hidden:
    """Stands for a value in a `repr`."""

    def __repr__(self) -> str:
        return "…"


class BackendConfig(BaseModel):
    """Base of every backend's configuration: one field for each key of its section.

    Unknown keys are refused, instances are frozen, and no value is ever repeated in an error text. Declare
    credentials as `pydantic.SecretStr`. A field whose `json_schema_extra` is `{"env": ["NAME", …]}` is filled from
    the first of those environment variables that is set and not empty, when the section leaves the key out.

    A validator of your own raises `ValueError` with a text that stands as it is in the code: that is shown to the
    user. A text that was put together may contain the value, so the user only learns where it was raised.

    `repr` names the keys and hides their values: a URL may hold a password as well.
    """

    # hide_input_in_errors stands here and not in the class statement, where mypy and pyright reject it in subclasses.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)

    def __repr_args__(self) -> Iterator[tuple[str, _Hidden]]:
        names = [*type(self).model_fields, *(self.model_extra or {})]
        yield from ((name, _Hidden()) for name in names if name in self.model_fields_set)


ConfigT = TypeVar("ConfigT", bound=BackendConfig)
OpenedT = TypeVar("OpenedT")


@dataclass(frozen=True)
class Backend(Generic[ConfigT, OpenedT]):
    """One kind of storage, as its plugin's hook returns it.

    Attributes:
        config: the pydantic model its section of endpoints.yml is validated with.
        open: makes the tracker store or persistor from a validated config. It does no I/O.
        errors: maps an exception type of the SDK to the holdfast error that wraps it; subclasses count, the first
            match wins. A callable is called on the first error, so that naming the types imports nothing early.
        summary: one line for `holdfast plugins list --check` and the documentation.
    """

    config: type[ConfigT]
    open: Callable[[ConfigT], OpenedT]
    errors: Callable[[], dict[type[BaseException], type[BackendError]]] = dict
    summary: str = ""


AnyBackend = Backend[Any, Any]
