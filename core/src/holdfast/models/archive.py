"""What is safe in a model archive, and what it says about itself.

An archive is a `.tar.gz` with a `metadata.json` at its top. The rules and limits follow what is known of attacks on
unpackers: links, devices, sparse files and every odd name are refused outright, and sizes are counted while inflating,
never believed from a header.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from holdfast.errors import UnsafeArchiveError
from holdfast.models.tarstream import Member, TarStream, inflate
from holdfast.models.worker import Block

METADATA = "metadata.json"
METADATA_LIMIT = 16 << 20
"""A larger one is not looked at, so that memory stays bounded."""
_READ = 1 << 20
_KINDS = {
    "1": "a hard link",
    "2": "a symbolic link",
    "3": "a character device",
    "4": "a block device",
    "6": "a FIFO",
    "S": "a sparse file",
}


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    """How much one archive may unpack to.

    Attributes:
        members: files and directories together, including directories that are only implied by a name.
        total: bytes of the whole inflated archive.
        single: bytes of one file.
        ratio: inflated bytes for each byte of the archive, applied after the first 64 MiB.
        depth: parts of a name.
        part: bytes of one part of a name, in UTF-8.
        name: bytes of a whole name; this bounds the memory that checking for duplicates takes.
    """

    members: int = 50_000
    total: int = 20 << 30
    single: int = 16 << 30
    ratio: int = 200
    depth: int = 32
    part: int = 255
    name: int = 1024


@dataclass(frozen=True, slots=True)
class ArchiveFacts:
    """What an archive says about itself, as far as it does.

    Attributes:
        trained_at: when training ended, UTC (`trained_at` of its metadata, which has no time zone and means UTC).
        model_id: the training's own id.
        assistant_id: the assistant it was trained for.
        members: files and directories in it.
        unpacked_size: bytes of its files.
    """

    trained_at: datetime | None = None
    model_id: str | None = None
    assistant_id: str | None = None
    members: int = 0
    unpacked_size: int = 0


class Rules:
    """Decide member by member; `admit` returns where a member belongs or refuses it."""

    def __init__(self, limits: UnpackLimits) -> None:
        self._limits = limits
        self._seen: dict[str, tuple[str, str]] = {}
        self.members = 0
        self.size = 0

    def admit(self, member: Member) -> tuple[str, ...]:
        """Return the parts of the member's path below the target; no parts mean the target itself.

        Raises:
            UnsafeArchiveError: the message names the member and the rule.
        """
        if member.type not in "05":
            refuse(
                member, f"is {_KINDS.get(member.type, f'of type {member.type!r}')}: only files and folders are allowed"
            )
        folder = member.type == "5"
        if folder and member.size:
            refuse(member, "is a folder with data")
        if member.size > self._limits.single:
            refuse(member, f"has {member.size} bytes, more than {self._limits.single} (limit `single`)")
        parts = self._parts(member, folder=folder)
        for depth in range(1, len(parts)):
            self._claim(member, "/".join(parts[:depth]), "implied")
        self._claim(member, "/".join(parts), "folder" if folder else "file")
        self.size += member.size
        return parts

    def _parts(self, member: Member, *, folder: bool) -> tuple[str, ...]:
        name, limits = member.name, self._limits
        if "\0" in name or "\\" in name:
            refuse(member, "has a NUL or a backslash in its name")
        if folder and name in {"", "/", ".", "./"}:
            return ()  # the top itself: training tools add it, and tarfile writes it as "/"
        if name.startswith("/"):
            refuse(member, "has an absolute name")
        path = name.removeprefix("./")
        parts = tuple((path.removesuffix("/") if folder else path).split("/"))
        if ".." in parts:
            refuse(member, "has '..' in its name: it would leave the target")
        if "" in parts or "." in parts:
            refuse(member, "has an empty part or '.' in its name")
        if len(parts) > limits.depth:
            refuse(member, f"lies deeper than {limits.depth} (limit `depth`)")
        if max(len(part.encode()) for part in parts) > limits.part:
            refuse(member, f"has a part of more than {limits.part} bytes in its name (limit `part`)")
        if len(path.encode()) > limits.name:
            refuse(member, f"has a name of more than {limits.name} bytes (limit `name`)")
        return parts

    def _claim(self, member: Member, path: str, kind: str) -> None:
        """Note that `path` is taken; names that some filesystem takes for one another count as the same."""
        key = path.casefold()
        if not path.isascii():
            key = unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())
        there, what = self._seen.get(key, (path, ""))
        if there != path:
            refuse(member, f"differs from {there!r} only by case or Unicode form")
        if not what:
            self.members += 1
            if self.members > self._limits.members:
                refuse(member, f"is one too many: more than {self._limits.members} members (limit `members`)")
        elif what == "file" or kind == "file" or (what == kind == "folder"):
            refuse(member, "occurs twice, or is both file and folder")
        if what != "folder":
            self._seen[key] = (path, kind)


def refuse(member: Member, rule: str) -> NoReturn:
    """Raise the error that names member and rule."""
    raise UnsafeArchiveError(f"member {member.name[:300]!r} {rule}")


def walk(stream: TarStream, rules: Rules) -> Iterator[tuple[Member, tuple[str, ...]]]:
    """Yield each member with its admitted path.

    Raises:
        UnsafeArchiveError: a member is refused, or there is none at all.
    """
    for member in stream:
        yield member, rules.admit(member)
    if not rules.members:
        raise UnsafeArchiveError("the archive is empty: it has no members")


def inspect(blocks: Iterable[Block], limits: UnpackLimits) -> ArchiveFacts:
    """Read a whole archive that arrives in `blocks`, without unpacking it, by the rules of unpacking.

    Raises:
        UnsafeArchiveError: it is damaged, or unpacking would refuse it.
    """
    stream, rules, facts = TarStream(inflate(blocks, limits)), Rules(limits), ArchiveFacts()
    for member, parts in walk(stream, rules):
        if parts == (METADATA,) and member.size <= METADATA_LIMIT:
            facts = facts_of(b"".join(stream.data()))
    return replace(facts, members=rules.members, unpacked_size=rules.size)


def facts_in(blocks: Iterable[Block], limits: UnpackLimits) -> ArchiveFacts:
    """Return what an archive that arrives in `blocks` says about itself; without counts, and read no further than that.

    Raises:
        UnsafeArchiveError: it is damaged or hostile as far as it was read.
    """
    stream = TarStream(inflate(blocks, limits))
    for member, parts in walk(stream, Rules(limits)):
        if parts == (METADATA,) and member.size <= METADATA_LIMIT:
            return facts_of(b"".join(stream.data()))
    return ArchiveFacts()


def read_facts(archive: Path, limits: UnpackLimits | None = None) -> ArchiveFacts:
    """Return what the file `archive` says about itself; as `facts_in`.

    Raises:
        UnsafeArchiveError: see `facts_in`.
        OSError: the file cannot be read.
    """
    return facts_in(read_blocks(archive), limits or UnpackLimits())


def facts_in_tree(tree: Path) -> ArchiveFacts:
    """Return what an unpacked model says about itself, without counts."""
    try:
        with (tree / METADATA).open("rb") as file:
            return facts_of(file.read(METADATA_LIMIT))
    except FileNotFoundError:
        return ArchiveFacts()


def read_blocks(file: Path) -> Iterator[bytes]:
    """Yield the bytes of `file` in blocks of 1 MiB."""
    with file.open("rb", buffering=0) as opened:
        while block := opened.read(_READ):
            yield block


def facts_of(metadata: bytes) -> ArchiveFacts:
    """Return the facts in the text of a `metadata.json`; what is missing or odd in it is left out."""
    try:
        values = json.loads(metadata)
    except (ValueError, RecursionError):
        return ArchiveFacts()
    if not isinstance(values, dict):
        return ArchiveFacts()
    return ArchiveFacts(
        parse_time(values.get("trained_at")), _string(values.get("model_id")), _string(values.get("assistant_id"))
    )


def parse_time(text: Any) -> datetime | None:
    """Return the moment an ISO 8601 text names, in UTC; without a zone it is UTC already. `None` if it is no time."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        return None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and len(value) <= 1024 else None
