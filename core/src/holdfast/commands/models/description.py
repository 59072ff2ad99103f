"""How a model is written for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.commands.moments import written

if TYPE_CHECKING:
    from holdfast.models.service import Model

HEADINGS = ("name", "size", "trained at", "stored at", "sha256")
_UNITS = ("B", "kB", "MB", "GB", "TB")


def row(model: Model, *, zone: bool) -> tuple[str, ...]:
    """The cells under `HEADINGS`; an archive without a manifest has no digest yet."""
    digest = model.sha256[:12] if model.sha256 else ""
    return (
        model.name,
        size(model.size),
        written(model.trained_at, zone=zone),
        written(model.modified, zone=zone),
        digest,
    )


def line(model: Model) -> str:
    """One line."""
    facts = [size(model.size)]
    if model.trained_at is not None:
        facts.append(f"trained at {written(model.trained_at)}")
    if model.sha256:
        facts.append(f"sha256 {model.sha256}")
    return f"{model.name}: {', '.join(facts)}"


def size(count: int) -> str:
    """Bytes in a unit that keeps the number short."""
    amount = float(count)
    for unit in _UNITS:
        if amount < 1000 or unit == _UNITS[-1]:
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
