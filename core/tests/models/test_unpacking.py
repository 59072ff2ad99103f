"""Hostile and damaged archives are refused before anything is visible; honest ones unpack exactly and read-only."""

from __future__ import annotations

import filecmp
import gzip
import io
import os
import random
import shutil
import sys
import tarfile
import tempfile
import traceback
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from holdfast import ModelError, UnsafeArchiveError, VerificationError
from holdfast.models import scratch, tarstream
from holdfast.models.archive import Rules, UnpackLimits, inspect, read_blocks, read_facts
from holdfast.models.cache import Cache
from holdfast.models.tarstream import Member, TarStream
from holdfast.models.unpack import unpack


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "unpacked" / "model"


@pytest.fixture
def refused(target):
    """Assert that an archive is refused, by unpacking and by inspection alike, and that nothing is left of it."""

    def refused(archive: Path, message: str, **limits: int) -> None:
        allowed = UnpackLimits(**limits)
        with pytest.raises(UnsafeArchiveError, match=message):
            unpack(archive, target, limits=allowed)
        assert not list(target.parent.iterdir())
        with pytest.raises(UnsafeArchiveError, match=message):
            inspect(read_blocks(archive), allowed)

    return refused


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("../evil", r"member '\.\./evil' has '\.\.' in its name"),
        ("a/../../evil", r"'\.\.'"),
        ("a/..", r"'\.\.'"),
        ("/etc/passwd", "absolute"),
        ("//etc/passwd", "absolute"),
        ("a\\..\\evil", "backslash"),
        ("C:\\evil", "backslash"),
        ("a//b", "empty part"),
        ("a/./b", "empty part or '.'"),
        ("././a", "empty part or '.'"),
        (".", "empty part or '.'"),
        ("x" * 256, "part of more than 255 bytes"),
        ("é" * 128, "part of more than 255 bytes"),
        ("/".join("d" * 33), "deeper than 32"),
        ("/".join(["d" * 200] * 6), "more than 1024 bytes"),
        ("bad\udcffname", "not UTF-8|hdrcharset"),
    ],
)
def test_a_file_with_such_a_name_is_refused(name, rule, pack, file, refused):
    for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        refused(pack(file("fine"), file(name), dialect=kind), rule)


def test_a_name_with_a_nul_is_refused(pack, file, refused):
    member, data = file("harmless")
    member.pax_headers = {"path": "a\0b"}
    refused(pack((member, data)), "NUL")


def test_an_empty_name_is_refused(pack, file, refused):
    refused(pack(file("fine"), file("")), "empty part")


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "character device"),
        (tarfile.BLKTYPE, "block device"),
        (tarfile.FIFOTYPE, "FIFO"),
        (tarfile.GNUTYPE_SPARSE, "sparse"),
        (b"V", "of type 'V'"),
        (b"M", "of type 'M'"),
    ],
)
@pytest.mark.parametrize("link", ["fine", "../../outside", "/etc/passwd"])
def test_a_member_that_is_no_file_or_folder_is_refused(kind, rule, link, pack, file, refused):
    refused(pack(file("fine"), file("odd", b"", type=kind, linkname=link)), f"member 'odd' is .*{rule}")


def test_a_file_behind_a_link_never_gets_written(tmp_path, pack, file, refused):
    outside = tmp_path / "outside"
    outside.mkdir()
    refused(pack(file("door", b"", type=tarfile.SYMTYPE, linkname=str(outside)), file("door/evil")), "symbolic link")
    assert not list(outside.iterdir())


def test_a_sparse_file_in_pax_disguise_is_refused(pack, file, refused):
    member, data = file("small")
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.realsize": str(1 << 50)}
    refused(pack((member, data)), "sparse")


def test_a_header_that_lies_about_the_size_is_refused(pack, file, refused):
    member, _ = file("big")
    member.size = 1 << 20
    refused(pack(raw=member.tobuf() + b"x" * 512 + bytes(1024)), "cut off")
    member.size = 1 << 50
    refused(pack(raw=member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)), "limit `single`")


@pytest.mark.parametrize(
    "names",
    [
        ("twice", "twice"),
        ("./twice", "twice"),
        ("Model", "model"),
        ("straße", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),
        ("Folder/a", "folder/b"),
        ("thing", "thing/inside"),
        ("thing/inside", "thing"),
    ],
)
def test_names_that_some_filesystem_takes_for_one_are_refused(names, pack, file, refused):
    refused(pack(*(file(name) for name in names)), "occurs twice|differs from")


def test_a_folder_twice_is_refused(pack, folder, refused):
    refused(pack(folder("a"), folder("a")), "occurs twice")


def test_a_folder_with_data_is_refused(pack, file, refused):
    member, data = file("a", b"x" * 10, type=tarfile.DIRTYPE)
    refused(pack(raw=member.tobuf() + data.ljust(512, b"\0") + bytes(1024)), "folder with data")


def test_too_many_members_are_refused(pack, file, refused):
    refused(pack(*(file(f"{n}") for n in range(11))), "more than 10 members", members=10)


def test_folders_that_are_only_implied_count_as_members(pack, file, refused):
    refused(pack(file("a/b/c/d/e/f")), "more than 5 members", members=5)


def test_a_file_larger_than_allowed_is_refused(pack, file, refused):
    refused(pack(file("big", b"x" * 1001)), "limit `single`", single=1000)


def test_a_bomb_by_size_is_refused_while_it_inflates(pack, file, refused):
    refused(pack(file("big", random.Random(1).randbytes(3 << 20))), "limit `total`", total=2 << 20)


def test_a_bomb_by_ratio_is_refused_while_it_inflates(tmp_path, refused):
    bomb = tmp_path / "bomb.tar.gz"
    with gzip.open(bomb, "wb", 9) as out:
        member = tarfile.TarInfo("zeros")
        member.size = 1 << 30
        out.write(member.tobuf())
        for _ in range(80):
            out.write(bytes(1 << 20))
    assert bomb.stat().st_size < 200_000
    refused(bomb, "limit `ratio`")


def test_an_archive_cut_off_anywhere_is_refused(tea, tmp_path, target):
    whole = tea(1).read_bytes()
    cut = tmp_path / "cut.tar.gz"
    for size in range(0, len(whole), 97):
        cut.write_bytes(whole[:size])
        with pytest.raises(UnsafeArchiveError, match="cut off|empty"):
            unpack(cut, target)
        assert not list(target.parent.iterdir())


def test_an_archive_with_any_flipped_bit_is_refused(tea, tmp_path):
    whole = bytearray(tea(1).read_bytes())
    for position in range(20, len(whole) - 8, 211):  # 4 bytes of time and the name in the header are not covered
        whole[position] ^= 0x10
        with pytest.raises(UnsafeArchiveError):
            inspect([bytes(whole)], UnpackLimits())
        whole[position] ^= 0x10


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "empty: a file of 0 bytes"),
        (b"not gzip at all", "not a gzip archive"),
        (b"PK\x03\x04 a zip", "not a gzip archive"),
        (gzip.compress(b""), "cut off"),
        (gzip.compress(b"plain text, no tar" * 100), "not a tar archive"),
        (gzip.compress(bytes(10240)), "empty: it has no members"),
        (gzip.compress(b"x" * 100), "cut off"),
    ],
)
def test_what_is_no_archive_is_refused(content, rule, tmp_path, refused):
    path = tmp_path / "odd.tar.gz"
    path.write_bytes(content)
    refused(path, rule)


def test_something_hidden_behind_the_end_is_refused(pack, file, refused):
    member, data = file("fine")
    tar = member.tobuf() + data.ljust(512, b"\0") + bytes(1024)
    refused(pack(raw=tar + tar), "follows the end")
    path = pack(raw=tar)
    path.write_bytes(path.read_bytes() + b"trailing")
    refused(path, "damaged|cut off")


def test_an_archive_without_end_marker_is_refused(pack, file, refused):
    member, data = file("fine")
    refused(pack(raw=member.tobuf() + data.ljust(512, b"\0")), "cut off")


def test_damaged_extended_headers_are_refused(pack, refused):
    def extended(kind: bytes, text: bytes) -> bytes:
        member = tarfile.TarInfo("@")
        member.type, member.size = kind, len(text)
        return member.tobuf() + text.ljust(-(-len(text) // 512) * 512, b"\0")

    end = tarfile.TarInfo("a").tobuf() + bytes(1024)
    for text in (b"nonsense", b"99 path=a\n", b"0 path=a\n", b"8 path=\xff\n", b"9 size=-1\n", b"10 size=1e3\n"[:11]):
        refused(pack(raw=extended(b"x", text) + end), "extended header|not UTF-8")
    refused(pack(raw=extended(b"x", b"10 path=b\n") * 2 + end), "two extended headers")
    refused(pack(raw=extended(b"g", b"10 path=b\n") + end), "global extended header")
    refused(pack(raw=extended(b"L", b"b" * (2 << 20)) + end), "too large")
    refused(pack(raw=extended(b"x", b"10 path=b\n") + bytes(1024)), "followed by no member")


def test_every_fixture_unpacks_to_what_tar_says_and_read_only(tea, rich, target, tmp_path, modes):
    for number, archive in enumerate((tea(1), rich)):
        tree = target.with_name(str(number))
        facts = unpack(archive, tree)
        with tarfile.open(archive) as tar:
            members = tar.getmembers()
            tar.extractall(tmp_path / "expected", filter="fully_trusted")
        assert facts.members == len(members)
        assert facts.unpacked_size == sum(member.size for member in members)
        different = filecmp.dircmp(tree, tmp_path / "expected")
        assert different.left_only == different.right_only == different.funny_files == []
        for member in members:
            if member.isfile():
                assert (tree / member.name).read_bytes() == (tmp_path / "expected" / member.name).read_bytes()
        for path, mode in modes(tree).items():
            assert mode == (0o555 if (tree / path).is_dir() else 0o444), path
        scratch.remove(tmp_path / "expected")
        scratch.remove(tree)
        assert not tree.exists()


@pytest.mark.parametrize("dialect", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_dialect_of_tar_is_understood(dialect, pack, file, folder, target):
    long = "/".join(["directory-with-a-name"] * 6) + "/" + "f" * 90
    names = ["./dotted", "a b", long] + ([] if dialect == tarfile.USTAR_FORMAT else ["n" * 200, "ümläut"])
    unpack(
        pack(folder("top"), *(file(name, name.encode()) for name in names), file("empty", b""), dialect=dialect), target
    )
    assert (target / "top").is_dir()
    assert (target / "empty").read_bytes() == b""
    for name in names:
        assert (target / name).read_bytes() == name.encode()


def test_old_and_unusual_but_honest_members_are_understood(pack, file, target):
    old_folder, _ = file("old/", b"", type=tarfile.AREGTYPE)
    raw = old_folder.tobuf().replace(b"ustar\x0000", b"\0" * 8)
    raw = raw[:148] + b"%06o\0 " % sum(raw[:148] + b" " * 8 + raw[156:512]) + raw[156:]
    huge, data = file("base256", b"x" * 600)
    header = bytearray(huge.tobuf())
    header[124:136] = b"\x80" + (600).to_bytes(11)
    header[148:156] = b"%06o\0 " % sum(header[:148] + b" " * 8 + header[156:512])
    contiguous, more = file("contiguous", type=tarfile.CONTTYPE)
    end = bytes(1024)
    archive = pack(
        raw=raw + bytes(header) + data.ljust(1024, b"\0") + contiguous.tobuf() + more.ljust(512, b"\0") + end
    )
    unpack(archive, target)
    assert (target / "old").is_dir()
    assert (target / "base256").stat().st_size == 600
    assert (target / "contiguous").read_bytes() == more


def test_owner_and_special_permissions_are_dropped(pack, file, target, modes):
    unpack(pack(file("tool", mode=0o6777, uid=4711, gid=4711)), target)
    assert modes(target) == {".": 0o555, "tool": 0o444}
    assert (target / "tool").stat().st_uid == os.geteuid()


def test_several_gzip_members_and_padding_are_one_archive(tmp_path, pack, file, target):
    raw = gzip.decompress(pack(file("a", b"a" * 5000)).read_bytes())
    archive = tmp_path / "parts.tar.gz"
    archive.write_bytes(gzip.compress(raw[:700]) + bytes(20) + gzip.compress(raw[700:]) + bytes(100))
    unpack(archive, target)
    assert (target / "a").read_bytes() == b"a" * 5000


def test_it_works_without_isal(monkeypatch, rich, target):
    monkeypatch.setitem(sys.modules, "isal", None)
    assert tarstream._inflater()[0].__module__ == "zlib"
    assert unpack(rich, target).members == 68


def test_another_digest_than_promised_is_refused(tea, target):
    with pytest.raises(VerificationError, match="not 0000"):
        unpack(tea(1), target, digest="0" * 64)
    assert not list(target.parent.iterdir())


def test_a_full_disk_says_so_and_leaves_nothing(monkeypatch, tea, target):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(ModelError, match="no space is left to unpack"):
        unpack(tea(1), target)
    assert not list(target.parent.iterdir())


def test_metadata_is_read_and_its_absence_is_fine(tea, train, pack, file):
    facts = read_facts(tea(1))
    assert facts.trained_at.isoformat() == "2026-11-22T09:25:26.513533+00:00"
    assert (facts.model_id, facts.assistant_id) == ("ab5b12f16bcb465fbdd675937a4189ce", "holdfast-example")
    assert read_facts(train("zoned", "2026-01-01T02:00:00+02:00")).trained_at.isoformat() == "2026-01-01T00:00:00+00:00"
    assert read_facts(train("timeless", None)).trained_at is None
    assert read_facts(pack(file("weights"))).model_id is None
    for odd in (b"", b"[]", b"{", b'{"trained_at": 1}', b'{"trained_at": "soon"}', b"[" * 100_000, b"\xff"):
        assert read_facts(pack(file("metadata.json", odd))).trained_at is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_an_ordinary_user_can_unpack_and_remove(tea):
    """Root may write where permissions forbid it, so what a read-only tree does to others must be seen as another."""
    home = Path(tempfile.mkdtemp(dir="/tmp"))  # where the other user can get, wherever TMPDIR is
    try:
        archive = shutil.copy(tea(1), home / "model.tar.gz")
        read_facts(Path(archive))  # imports everything while this user still can
        os.chown(home, 65534, 65534)
        with warnings.catch_warnings(action="ignore"):  # about forking with threads; the child starts its own
            child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                unpack(Path(archive), home / "unpacked" / "x", drafts=home / "drafts")
                assert not list((home / "drafts").iterdir())
                cache = Cache(home, keep=1)
                with pytest.raises(PermissionError):
                    (home / "unpacked" / "x" / "new").touch()
                cache._discard(home / "unpacked" / "x", "x")
                assert not list((home / "unpacked").iterdir())
                assert not list((home / "drafts").iterdir())
            except BaseException:  # noqa: BLE001  # the child must end here
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        shutil.rmtree(home, ignore_errors=True)


@given(st.text(st.characters(codec="utf-8"), min_size=0, max_size=80), st.sampled_from("05"))
@settings(max_examples=300, deadline=None)
def test_no_admitted_name_leaves_the_target(name, kind):
    try:
        parts = Rules(UnpackLimits()).admit(Member(name, kind, 0))
    except UnsafeArchiveError:
        return
    path = os.path.normpath(Path("/target", *parts))
    assert path == "/target" or path.startswith("/target/")
    assert path == "/target" + "".join(f"/{part}" for part in parts)


@given(st.binary(max_size=3000))
@settings(max_examples=200, deadline=None)
def test_noise_is_refused_and_nothing_else_happens(noise):
    header = tarfile.TarInfo("a").tobuf()
    for data in (noise, header + noise, header[:300] + noise):
        try:
            for _ in TarStream([data]):
                pass
        except UnsafeArchiveError:
            continue
        assert not data.strip(b"\0") or data.startswith(header)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}(/[a-z]{1,120}){0,3}", fullmatch=True),
        st.binary(max_size=2000),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.integers(1, 700),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_tarfile_wrote_is_read_back_however_it_is_cut_into_blocks(files, dialect, step):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=dialect) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    raw = buffer.getvalue()
    stream = TarStream(raw[at : at + step] for at in range(0, len(raw), step))
    assert {member.name: b"".join(stream.data()) for member in stream} == files
