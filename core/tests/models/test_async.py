"""The async face does the same, and the event loop never waits."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from holdfast import AsyncModels, Deployment, DeploymentError, ModelNotFoundError
from holdfast.models.disk import DiskPersistor


async def test_every_operation_works(models, tea, tmp_path):
    face = AsyncModels(models)
    assert (await face.push(tea(1), "one")).name == "one"
    await face.push(tea(2), "two")
    assert [model.name for model in await face.list()] == ["one", "two"]
    assert (await face.latest()).name == "two"
    assert (await face.get("one")).size == 3379
    assert (await face.verify("one")).ok
    assert (await face.pull("one", tmp_path / "out.tar.gz")).is_file()
    assert (await face.deploy("one")).name == "one"
    assert (await face.deploy("two")).name == "two"
    assert (await face.history())[0].name == "one"
    assert (await face.rollback()).name == "one"
    assert (await face.current()).name == "one"
    await face.delete("one")
    with pytest.raises(ModelNotFoundError):
        await face.get("one")
    await face.close()
    await face.close()


async def test_the_event_loop_never_waits_for_a_slow_storage(models, tea, monkeypatch):
    models.push(tea(1), "one")
    original = DiskPersistor.stat

    def slow(self, key):
        time.sleep(0.15)
        return original(self, key)

    monkeypatch.setattr(DiskPersistor, "stat", slow)
    longest, last, done = 0.0, time.monotonic(), False

    async def tick() -> None:
        nonlocal longest, last
        while not done:
            await asyncio.sleep(0.002)
            now = time.monotonic()
            longest, last = max(longest, now - last), now

    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(AsyncModels(models).get("one") for _ in range(3)))
    done = True
    await ticking
    assert longest < 0.1


async def test_an_application_may_load_in_a_thread_or_on_the_event_loop(models, tea):
    models.push(tea(1), "one")
    models.push(tea(2), "two")
    face, threads = AsyncModels(models), []

    def blocking(_: Deployment) -> None:
        threads.append(threading.current_thread())

    async def on_the_loop(_: Deployment) -> None:
        await asyncio.sleep(0)
        threads.append(threading.current_thread())

    async def refuse(_: Deployment) -> None:
        raise ValueError("no")

    await face.deploy("one", on_load=blocking)
    await face.deploy("two", on_load=on_the_loop)
    assert threads[0] is not threading.main_thread()
    assert threads[1] is threading.current_thread()
    with pytest.raises(DeploymentError, match="ValueError: no"):
        await face.rollback(on_load=refuse)
    assert (await face.current()).name == "two"
