"""Models and how they rest in a storage: names, keys, and the manifest beside each archive.

    <prefix>/<name>.tar.gz                     the archive, a plain object that any other tool can read
    <prefix>/.holdfast/v1/m/<name>.json        its manifest, written after the archive and removed before it

A manifest is canonical JSON: sorted keys, no blanks, no floats. An archive without one was stored by another tool, or
by a push that was killed at its very end; it is a model all the same.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from holdfast.errors import ModelError, VerificationError
from holdfast.models.archive import ArchiveFacts, parse_time
from holdfast.models.persistor import ObjectStat

SUFFIX = ".tar.gz"
OWN_FOLDER = ".holdfast"
MANIFEST_LIMIT = 64 << 10
"""Most bytes a manifest may have."""
_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Model:
    """A stored model.

    Attributes:
        name: without prefix and without `.tar.gz`; `/` separates folders.
        key: of the archive in the storage.
        size: bytes of the archive.
        sha256: its digest in lower-case hexadecimal; `None` if the archive has no manifest.
        trained_at: when training ended, UTC; `None` if the archive does not say, or has no manifest and was not read.
        modified: when the storage got the archive, by its clock, UTC.
        model_id: the training's own id.
        assistant_id: the assistant it was trained for.
    """

    name: str
    key: str
    size: int
    sha256: str | None
    trained_at: datetime | None
    modified: datetime
    model_id: str | None = None
    assistant_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as JSON has them; times are ISO 8601."""
        return {key: iso(value) if isinstance(value, datetime) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Verification:
    """The outcome of reading a stored archive again: it is as promised, else there would have been an error.

    Attributes:
        name: of the model.
        key: of the archive.
        size: bytes read.
        sha256: digest of them.
        promised: whether a manifest promised that digest; else the archive was only found undamaged by its own checksum.
        ok: always true; for programs that read the JSON.
    """

    name: str
    key: str
    size: int
    sha256: str
    promised: bool
    ok: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as JSON has them."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was true of an archive when it was pushed; attributes as in `Model` and `ArchiveFacts`."""

    name: str
    key: str
    size: int
    sha256: str
    created: datetime
    facts: ArchiveFacts

    def to_json(self) -> bytes:
        """Return the canonical text."""
        facts = self.facts
        values = {
            "assistant_id": facts.assistant_id,
            "created": iso(self.created),
            "format": "tar.gz",
            "key": self.key,
            "members": facts.members,
            "model_id": facts.model_id,
            "name": self.name,
            "schema": _SCHEMA,
            "sha256": self.sha256,
            "size": self.size,
            "trained_at": None if facts.trained_at is None else iso(facts.trained_at),
            "unpacked_size": facts.unpacked_size,
        }
        return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, text: bytes, where: str) -> Manifest:
        """Parse a manifest; `where` names it in the `VerificationError` that anything odd raises."""
        try:
            values = json.loads(text)
            schema = values["schema"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _no_manifest(where) from error
        if schema != _SCHEMA:
            raise VerificationError(
                f"{where} has the schema {schema!r}, which a newer holdfast wrote: upgrade this one"
            )
        try:
            digest, size, created = values["sha256"], values["size"], parse_time(values["created"])
            if not (is_digest(digest) and type(size) is int and size >= 0 and created):
                raise _no_manifest(where)
            facts = ArchiveFacts(
                parse_time(values.get("trained_at")),
                _text(values.get("model_id")),
                _text(values.get("assistant_id")),
                _count(values.get("members")),
                _count(values.get("unpacked_size")),
            )
            return cls(str(values["name"]), str(values["key"]), size, digest, created, facts)
        except (KeyError, TypeError) as error:
            raise _no_manifest(where) from error


def model_of(name: str, stat: ObjectStat, manifest: Manifest | None) -> Model:
    """Join what the storage and the manifest say of one archive."""
    modified = datetime.fromtimestamp(stat.modified, UTC)
    if manifest is None:
        return Model(name, stat.key, stat.size, None, None, modified)
    facts = manifest.facts
    return Model(
        name, stat.key, stat.size, manifest.sha256, facts.trained_at, modified, facts.model_id, facts.assistant_id
    )


class Layout:
    """The keys of one prefix.

    Args:
        prefix: folder in the storage; may be empty.
    """

    def __init__(self, prefix: str = "") -> None:
        prefix = prefix.strip("/")
        self.root = f"{prefix}/" if prefix else ""
        self._manifests = f"{self.root}{OWN_FOLDER}/v1/m/"

    def archive(self, name: str) -> str:
        """Return the key of the archive of `name`, which comes from `model_name`."""
        return f"{self.root}{name}{SUFFIX}"

    def manifest(self, name: str) -> str:
        """Return the key of its manifest."""
        return f"{self._manifests}{name}.json"

    def name(self, key: str) -> str | None:
        """Return the name whose archive has this key; `None` if it is no model's."""
        inside = key.removeprefix(self.root)
        if not inside.endswith(SUFFIX) or inside.startswith(f"{OWN_FOLDER}/"):
            return None
        try:
            return model_name(inside)
        except ModelError:
            return None

    def manifest_name(self, key: str) -> str | None:
        """Return the name whose manifest has this key; `None` if it is no manifest's."""
        if key.startswith(self._manifests) and key.endswith(".json"):
            return key[len(self._manifests) : -len(".json")]
        return None


def model_name(text: str) -> str:
    """Return a model's name, given with or without `.tar.gz`.

    Raises:
        ModelError: it cannot be a name.
    """
    name = text.removesuffix(SUFFIX)
    parts = name.split("/")
    odd = any(letter < " " or letter in "\x7f\\" or "\ud800" <= letter <= "\udfff" for letter in name)
    if odd or not {"", ".", ".."}.isdisjoint(parts) or parts[0] == OWN_FOLDER or len(name.encode()) > 512:
        raise ModelError(
            f"{text[:600]!r} is no name of a model: it has at most 512 bytes, its parts between '/' are not empty, "
            f"'.' or '..', the first is not {OWN_FOLDER!r}, and it holds neither backslash nor control characters"
        )
    return name


def is_digest(text: Any) -> bool:
    """Tell whether this is a SHA-256 in lower-case hexadecimal."""
    return isinstance(text, str) and len(text) == 64 and not text.strip("0123456789abcdef")


def iso(moment: datetime) -> str:
    """Return a moment in UTC as ISO 8601 text that ends in `Z`."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _no_manifest(where: str) -> VerificationError:
    return VerificationError(f"{where} is no manifest; push the model again with overwrite")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: Any) -> int:
    return value if type(value) is int else 0
