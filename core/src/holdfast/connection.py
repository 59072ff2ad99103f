"""`holdfast.connect`: everything an application needs, from its endpoints.yml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from holdfast.conversations.domain import Domain
from holdfast.conversations.rule import SessionRule
from holdfast.endpoints import Endpoints, read_endpoints
from holdfast.opening import open_persistor, open_tracker_store

if TYPE_CHECKING:
    from holdfast.conversations.asynchronous import AsyncConversations
    from holdfast.conversations.service import Conversations
    from holdfast.models.asynchronous import AsyncModels
    from holdfast.models.service import Models

DEFAULT_ENDPOINTS = Path("endpoints.yml")


@dataclass(frozen=True, slots=True)
class Holdfast:
    """The two halves, blocking."""

    conversations: Conversations
    models: Models
    endpoints: Endpoints


@dataclass(frozen=True, slots=True)
class AsyncHoldfast:
    """The two halves, async."""

    conversations: AsyncConversations
    models: AsyncModels
    endpoints: Endpoints


class Connection:
    """What `connect` returns: `with` gives a `Holdfast`, `async with` an `AsyncHoldfast`; its end closes both halves.

    A connection can be entered again after it was left. Entering it opens the backends, which does no I/O.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        domain: Domain | None = None,
        session_rule: SessionRule | str | None = None,
        remote_storage: str | None = None,
    ) -> None:
        self.endpoints = endpoints
        self._domain = domain
        self._session_rule = SessionRule(session_rule or endpoints.tracker_store.session_rule)
        self._remote_storage = remote_storage
        self._blocking: Holdfast | None = None
        self._async: AsyncHoldfast | None = None

    def __enter__(self) -> Holdfast:
        from holdfast.conversations.service import Conversations

        store = open_tracker_store(self.endpoints)
        self._blocking = Holdfast(
            Conversations(
                store.opened, self._domain, session_rule=self._session_rule, name=store.name, errors=store.errors
            ),
            self._models(),
            self.endpoints,
        )
        return self._blocking

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opened, self._blocking = self._blocking, None
        if opened is not None:
            try:
                opened.conversations.close()
            finally:
                opened.models.close()

    async def __aenter__(self) -> AsyncHoldfast:
        from holdfast.conversations.asynchronous import AsyncConversations
        from holdfast.models.asynchronous import AsyncModels

        store = open_tracker_store(self.endpoints)
        self._async = AsyncHoldfast(
            AsyncConversations(
                store.opened, self._domain, session_rule=self._session_rule, name=store.name, errors=store.errors
            ),
            AsyncModels(self._models()),
            self.endpoints,
        )
        return self._async

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opened, self._async = self._async, None
        if opened is not None:
            try:
                await opened.conversations.close()
            finally:
                await opened.models.close()

    def _models(self) -> Models:
        from holdfast.models.service import Models

        persistor = open_persistor(self.endpoints, self._remote_storage)
        return Models.of(persistor, self.endpoints.models)


def connect(
    endpoints: str | Path | Endpoints | None = None,
    *,
    domain: str | Path | Domain | None = None,
    session_rule: SessionRule | str | None = None,
    remote_storage: str | None = None,
) -> Connection:
    """Read endpoints.yml and prepare both halves; nothing is opened before the result is entered.

    Args:
        endpoints: the file, which must exist; what was read from it; or `None` for `endpoints.yml` in the working
            directory, where there is one.
        domain: a `domain.yml`, a directory of them, or a `Domain`; without one, every slot an event sets exists.
        session_rule: where the latest session of a conversation begins; by default what endpoints.yml says under
            `tracker_store`, else `action_session_start`.
        remote_storage: name of a persistor to use instead of the one in endpoints.yml.

    Raises:
        ConfigurationError: endpoints.yml or the domain is wrong.
    """
    if not isinstance(endpoints, Endpoints):
        endpoints = read_endpoints(endpoints or DEFAULT_ENDPOINTS, required=endpoints is not None)
    if domain is not None and not isinstance(domain, Domain):
        domain = Domain.load(domain)
    return Connection(endpoints, domain=domain, session_rule=session_rule, remote_storage=remote_storage)
