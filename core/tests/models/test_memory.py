"""Memory does not grow with the archive."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
from holdfast import Models
from holdfast.models.disk import DiskPersistor

def peak():
    # Not `ru_maxrss`: a process inherits that of its parent.
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) >> 10

tea, archive, here = map(Path, sys.argv[1:])
models = Models(DiskPersistor(here / "store"), directory=here / "cache")
models.push(tea, "warm"), models.deploy("warm"), models.verify("warm")
before = peak()
models.push(archive, "large")
models.push(archive, "large")
models.verify("large")
models.deploy("large")
print(peak() - before)
"""


@pytest.fixture
def large(tmp_path):
    """An archive of 160 MB."""
    path = tmp_path / "large.tar.gz"
    noise = os.urandom(4 << 20)
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=0) as packed:

        class Endless:
            def read(self, size: int) -> bytes:
                return noise[:size]

        with tarfile.open(fileobj=packed, mode="w|", bufsize=1 << 20) as tar:
            member = tarfile.TarInfo("weights")
            member.size = 160 << 20
            tar.addfile(member, Endless())
    return path


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak of one process")
def test_a_large_archive_takes_no_more_memory_than_a_small_one(large, tea, tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tea(1)), str(large), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 48, f"{done.stdout} MB for an archive of {large.stat().st_size >> 20} MB"
