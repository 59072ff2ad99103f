"""Reading a `.tar.gz` in one pass and constant memory: inflating, and taking the tar stream apart.

Nothing here touches the disk, and nothing here decides what is safe; `archive.py` does. The formats are those of
RFC 1952 (gzip), POSIX.1 pax (`x` and `g` headers, `ustar`) and GNU tar (`L` long names, base-256 numbers).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from holdfast.errors import UnsafeArchiveError
from holdfast.models.worker import Block

if TYPE_CHECKING:
    from holdfast.models.archive import UnpackLimits

_STEP = 1 << 20
"""Most bytes inflated at a time."""
_BITE = 1 << 17
"""Most compressed bytes given to zlib at a time; it copies what it could not use yet."""
_RECORD = 512
_EXTENSION_LIMIT = 1 << 20
"""Most bytes in one extended header; names and numbers need far less."""
_RATIO_FROM = 64 << 20
_GZIP = 31  # zlib's window bits: 15, and 16 for "with gzip header and checksum"


def inflate(blocks: Iterable[Block], limits: UnpackLimits) -> Iterator[bytes]:
    """Yield the inflated bytes of a gzip file that arrives in `blocks`, checking its checksum and the limits.

    Raises:
        UnsafeArchiveError: it is not gzip, damaged, cut off, or inflates beyond `limits.total` or `limits.ratio`.
    """
    gzip, given = _Gzip(), 0
    for block in blocks:
        for piece in gzip.inflate(block):
            given += len(piece)
            if given > limits.total:
                raise UnsafeArchiveError(f"the archive inflates to more than {limits.total} bytes (limit `total`)")
            if given > _RATIO_FROM and given > gzip.taken * limits.ratio:
                raise UnsafeArchiveError(
                    f"the archive inflates to more than {limits.ratio} times its size (limit `ratio`): a bomb?"
                )
            yield piece
    yield from gzip.end()


class _Gzip:
    """One gzip file, of one or more members; zeros after a member are padding."""

    def __init__(self) -> None:
        self.taken = 0
        self._new, self._damage = _inflater()
        self._current: Any = None
        self._told = False  # whether anything that is gzip has been seen

    def inflate(self, block: Block) -> Iterator[bytes]:
        view = memoryview(block)
        for start in range(0, len(view), _BITE):
            data = bytes(view[start : start + _BITE])
            self.taken += len(data)
            while data:
                if self._current is None:
                    if self._told and not (data := data.lstrip(b"\0")):
                        break
                    self._current = self._new(_GZIP)
                try:
                    piece = self._current.decompress(data, _STEP)
                except self._damage as error:
                    raise self._broken(error) from error
                self._told = True
                if piece:
                    yield piece
                if self._current.eof:
                    data, self._current = self._current.unused_data, None
                else:
                    data = self._current.unconsumed_tail

    def end(self) -> Iterator[bytes]:
        if not self.taken:
            raise UnsafeArchiveError("the archive is empty: a file of 0 bytes")
        if self._current is not None:
            # All input is taken, but the end of a match may still be held back; a whole archive then ends.
            while piece := self._current.decompress(b"", _STEP):
                yield piece
            if not self._current.eof:
                raise UnsafeArchiveError("the archive is cut off: its gzip stream has no end")

    def _broken(self, error: Exception) -> UnsafeArchiveError:
        if self._told:
            return UnsafeArchiveError(f"the archive is damaged: {error}")
        return UnsafeArchiveError(f"the file is not a gzip archive ({error}); a model is a .tar.gz")


def _inflater() -> tuple[Any, Any]:
    """Return what makes an inflater, and the error it raises."""
    try:
        from isal import isal_zlib
    except ImportError:
        import zlib  # the same interface, slower

        return zlib.decompressobj, zlib.error
    return isal_zlib.decompressobj, isal_zlib.IsalError


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of a tar stream, its extended headers already applied.

    Attributes:
        name: as it stands in the archive.
        type: the type flag of its header, one character.
        size: bytes of data that follow.
    """

    name: str
    type: str
    size: int


class TarStream:
    """Take a tar stream apart; iterate over the members, and over `data()` before going on to the next."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = iter(blocks)
        self._held = memoryview(b"")
        self._left = 0  # data bytes of the current member that nobody has taken
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        extended: dict[str, str] = {}
        while True:
            self._skip()
            header = self._take(_RECORD)
            if not any(header):
                break
            name, kind, size = _parse(header)
            if kind in "xgLK":
                if size > _EXTENSION_LIMIT:
                    raise UnsafeArchiveError(f"an extended header of {size} bytes is too large")
                text = self._take(size)
                self._take(-size % _RECORD)
                if kind in extended:
                    raise UnsafeArchiveError(f"two extended headers of type {kind!r} stand before one member")
                records = _pax(text) if kind in "xg" else {kind: _text(text.rstrip(b"\0"))}
                if kind == "g" and not {"path", "size", "linkpath"}.isdisjoint(records):
                    raise UnsafeArchiveError("a global extended header renames or resizes every member")
                if kind != "g":
                    extended |= {**records, kind: records.get(kind, "")}
                continue
            if "size" in extended:
                size = _decimal(extended["size"])
            name = extended.get("path", extended.get("L", name))
            extended = {}
            self._left, self._padding = size, -size % _RECORD
            yield Member(name, kind, size)
        if extended:
            raise UnsafeArchiveError("the archive is cut off: an extended header is followed by no member")
        self._end()

    def data(self) -> Iterator[memoryview]:
        """Yield the data of the current member."""
        while self._left:
            self._more()
            piece = self._held[: self._left]
            self._held = self._held[len(piece) :]
            self._left -= len(piece)
            yield piece

    def _skip(self) -> None:
        for _ in self.data():
            pass
        self._take(self._padding)
        self._padding = 0

    def _end(self) -> None:
        """Read what follows the end marker, so that the gzip checksum is checked; it may only be padding."""
        for block in chain((self._held,), self._blocks):
            if bytes(block).strip(b"\0"):
                raise UnsafeArchiveError("something follows the end of the tar archive")

    def _more(self) -> None:
        while not self._held:
            block = next(self._blocks, None)
            if block is None:
                raise UnsafeArchiveError("the archive is cut off: its tar stream has no end")
            self._held = memoryview(block)

    def _take(self, size: int) -> bytes:
        taken = b""
        while len(taken) < size:
            self._more()
            piece = self._held[: size - len(taken)]
            self._held = self._held[len(piece) :]
            taken += piece
        return taken


def _parse(header: bytes) -> tuple[str, str, int]:
    """Return name, type and size from a header record (POSIX.1, `ustar` interchange format)."""
    blanked = header[:148] + b" " * 8 + header[156:]
    if _number(header[148:156], "checksum") != sum(blanked):
        raise UnsafeArchiveError("a header has a wrong checksum: the file is not a tar archive, or it is damaged")
    name = header[:100].partition(b"\0")[0]
    if header[257:263] == b"ustar\0" and (prefix := header[345:500].partition(b"\0")[0]):
        name = prefix + b"/" + name
    kind = chr(header[156])
    if kind == "\0":  # from before POSIX: a directory is a file whose name ends in a slash
        kind = "5" if name.endswith(b"/") else "0"
    elif kind == "7":  # "contiguous" means nothing here
        kind = "0"
    return _text(name), kind, _number(header[124:136], "size")


def _number(field: bytes, what: str) -> int:
    if field[0] == 0x80:  # GNU: base 256, positive
        return int.from_bytes(field[1:])
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise UnsafeArchiveError(f"a header's {what} is no number: the file is not a tar archive, or it is damaged")
    return int(digits or b"0", 8)


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise UnsafeArchiveError(f"an extended header has the size {text[:40]!r}")
    return int(text)


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise UnsafeArchiveError(f"{name[:300]!r}: a member's name is not UTF-8") from error


def _pax(data: bytes) -> dict[str, str]:
    """Return the records of a pax header that matter: each is `length key=value` and a line feed."""
    records = {}
    while data:
        length, _, _ = data.partition(b" ")
        size = int(length) if length.isdigit() and len(length) < 8 else 0
        record = data[len(length) + 1 : size]
        key, equals, value = record.rstrip(b"\n").partition(b"=") if record[-1:] == b"\n" else (b"", b"", b"")
        if size > len(data) or not equals:
            raise UnsafeArchiveError("an extended header is damaged")
        if key.startswith(b"GNU.sparse.") or key == b"hdrcharset":
            raise UnsafeArchiveError(
                f"an extended header asks for {key.decode()}: sparse files and charsets are refused"
            )
        if key in {b"path", b"linkpath", b"size"}:
            records[key.decode()] = _text(value)
        data = data[size:]
    return records
