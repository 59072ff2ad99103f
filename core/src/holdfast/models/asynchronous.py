"""`AsyncModels`: the async face of `Models`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from holdfast.models.deployment import Deployment, OnLoad
from holdfast.models.manifest import Model, Verification
from holdfast.models.service import Models
from holdfast.models.transfer import Progress

AsyncOnLoad = Callable[[Deployment], Awaitable[None] | None]
"""As `OnLoad`. It is called in a thread; what it returns, if anything, is awaited on the event loop."""


class AsyncModels:
    """The async face: each method works in a thread, so that the event loop never waits for a disk or a network.

    Arguments, promises and errors are those of `Models`. `progress` is called in that thread. A cancelled call ends by
    itself later: what it did is whole or absent, as after any interruption.
    """

    def __init__(self, models: Models) -> None:
        self.blocking = models

    async def push(
        self, archive: str | Path, name: str | None = None, *, overwrite: bool = False, progress: Progress | None = None
    ) -> Model:
        """See `Models.push`."""
        return await asyncio.to_thread(self.blocking.push, archive, name, overwrite=overwrite, progress=progress)

    async def pull(self, name: str, to: str | Path | None = None, *, progress: Progress | None = None) -> Path:
        """See `Models.pull`."""
        return await asyncio.to_thread(self.blocking.pull, name, to, progress=progress)

    async def list(self) -> tuple[Model, ...]:
        """See `Models.list`."""
        return await asyncio.to_thread(lambda: tuple(self.blocking.list()))

    async def latest(self) -> Model:
        """See `Models.latest`."""
        return await asyncio.to_thread(self.blocking.latest)

    async def get(self, name: str) -> Model:
        """See `Models.get`."""
        return await asyncio.to_thread(self.blocking.get, name)

    async def verify(self, name: str, *, progress: Progress | None = None) -> Verification:
        """See `Models.verify`."""
        return await asyncio.to_thread(self.blocking.verify, name, progress=progress)

    async def delete(self, name: str) -> None:
        """See `Models.delete`."""
        await asyncio.to_thread(self.blocking.delete, name)

    async def deploy(
        self,
        source: str | Path | None = None,
        *,
        on_load: AsyncOnLoad | None = None,
        progress: Progress | None = None,
    ) -> Deployment:
        """See `Models.deploy`."""
        return await asyncio.to_thread(self.blocking.deploy, source, on_load=_blocking(on_load), progress=progress)

    async def rollback(self, *, on_load: AsyncOnLoad | None = None) -> Deployment:
        """See `Models.rollback`."""
        return await asyncio.to_thread(self.blocking.rollback, on_load=_blocking(on_load))

    async def current(self) -> Deployment | None:
        """See `Models.current`."""
        return await asyncio.to_thread(self.blocking.current)

    async def history(self) -> tuple[Deployment, ...]:
        """See `Models.history`."""
        return await asyncio.to_thread(self.blocking.history)

    async def close(self) -> None:
        """See `Models.close`."""
        await asyncio.to_thread(self.blocking.close)


def _blocking(on_load: AsyncOnLoad | None) -> OnLoad | None:
    if on_load is None:
        return None
    loop = asyncio.get_running_loop()

    def load(deployment: Deployment) -> None:
        outcome = on_load(deployment)
        if outcome is not None:
            asyncio.run_coroutine_threadsafe(_wait(outcome), loop).result()

    return load


async def _wait(outcome: Awaitable[None]) -> None:
    await outcome
