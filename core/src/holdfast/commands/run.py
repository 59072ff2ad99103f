"""`holdfast run`: a model deployed, a tracker store that answers, and both kept in order."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.commands import options
from holdfast.commands.explanation import explain
from holdfast.commands.output import Output
from holdfast.commands.progress import bar
from holdfast.commands.redaction import redacted

if TYPE_CHECKING:
    from holdfast.endpoints import Endpoints
    from holdfast.models.deployment import Deployment


@click.command("run")
@click.option(
    "-m",
    "--model",
    metavar="PATH|NAME",
    help="An archive, a directory whose latest archive is meant, or a model in the persistor; ./models by default.",
)
@click.option("--once", is_flag=True, help="End when everything is ready.")
@options.remote_storage
@options.domain
@options.endpoints
@options.output
def run(
    *,
    model: str | None,
    once: bool,
    remote_storage: str | None,
    domain: Path | None,
    endpoints: Path | None,
    out: Output,
) -> None:
    """Deploy the model, open the tracker store, then keep the newest model deployed.

    The model comes from the section `models:` of endpoints.yml; without one from --remote-storage and --model NAME, or
    from --model PATH. Every `wait_time_between_pulls` seconds it is looked for again. If that fails, what is deployed
    stays. SIGTERM and SIGINT end the command with exit code 0. With --json each event is a JSON object on a line.
    """
    from holdfast.commands.keeping import Stopped, stopping_on_signals

    with stopping_on_signals():
        try:
            found = options.load_endpoints(endpoints, out)
            if domain is not None:
                options.load_domain(domain, out)
            _run(found, model, remote_storage, out, once=once)
        except Stopped:
            _Report(out).stopped()


def _run(found: Endpoints, model: str | None, remote_storage: str | None, out: Output, *, once: bool) -> None:
    from holdfast.commands.keeping import keep_newest
    from holdfast.commands.models.opening import models_of
    from holdfast.commands.source import describe, resolve
    from holdfast.conversations.service import Conversations
    from holdfast.opening import open_tracker_store

    report = _Report(out)
    config = resolve(found, model, remote_storage)
    source = describe(config)
    with closing(models_of(replace(found, models=config), remote_storage)) as models:
        with bar(out, f"deploying {source}", in_bytes=True) as progress:
            deployment = models.deploy(progress=progress)
        report.deployed(deployment)
        store = open_tracker_store(found)
        with closing(Conversations(store.opened, name=store.name, errors=store.errors)) as conversations:
            report.tracker_store(store.name, conversations.count(), is_default=store.is_default)
            report.ready(source, config.wait_time_between_pulls, once=once)
            if not once:
                keep_newest(deployment, models.deploy, config.wait_time_between_pulls, report.deployed, report.failed)


class _Report:
    """Tells what happens: a line for a person, an object for a program."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def deployed(self, deployment: Deployment) -> None:
        trained = "" if deployment.trained_at is None else f", trained at {deployment.trained_at:%Y-%m-%d %H:%M:%S} UTC"
        text = f"deployed {deployment.name} ({deployment.digest[:12]}{trained}) in {deployment.path}"
        self._tell("deployed", text, **deployment.to_dict())

    def tracker_store(self, name: str, count: int, *, is_default: bool) -> None:
        text = f"tracker store {name}: {count} conversation{'' if count == 1 else 's'}"
        if is_default:
            text += "; no section tracker_store, so they are gone when this process ends"
        self._tell("tracker_store", text, type=name, conversations=count)

    def ready(self, source: str, wait: float, *, once: bool) -> None:
        looks = f"; looking at {source} every {wait:g} seconds" if wait and not once else ""
        self._tell("ready", f"ready{looks}", pid=os.getpid())

    def failed(self, error: Exception, wait: float) -> None:
        text = explain(error)
        if self._out.as_json:
            self._tell("failed", "", type=type(error).__name__, message=redacted(text), retry_in=round(wait, 1))
        else:
            self._out.note(f"error: {text}\nwhat is deployed stays; the next try is in {wait:.0f} seconds")

    def stopped(self) -> None:
        self._tell("stopped", "stopped")

    def _tell(self, event: str, text: str, **facts: Any) -> None:
        if self._out.as_json:
            self._out.json({"event": event, **facts})
        else:
            self._out.line(text)
