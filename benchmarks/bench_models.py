"""Models: what a push, a pull and unpacking cost, as ratios of the same run.

    python benchmarks/bench_models.py [--size-mb 1024] [--rounds 3] [--json]

* push and pull over the disk persistor, against reading, hashing and writing the same bytes once, one step after the
  other; `copy` leaves the bytes to the operating system, `durable copy` waits until they are on the disk, as push and
  pull do. A push inflates the whole archive, too, so `noise` (does not compress) and `weights` (floats and text) differ.
* unpack against `tarfile` over the standard library's gzip, which neither checks nor waits for the disk; `unpack to
  memory` are the same two on a filesystem without a disk, where there is one.
* memory: by how much the peak of a process grows above that of handling a model of 3 KB.

Every figure is the median over rounds; each measurement is a fresh process, and all of them take turns in a round, so
that a change of the machine's speed falls on all.
"""

from __future__ import annotations

import argparse
import array
import gzip
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from holdfast import Models
from holdfast.models import scratch
from holdfast.models.disk import DiskPersistor
from holdfast.models.unpack import unpack

FIXTURES = Path(__file__).parents[1] / "tests" / "fixtures" / "models"
BLOCK = 1 << 20
MEMORY_FILESYSTEM = Path("/dev/shm")


class Cycle:
    """A file that repeats a block, from another place each time: farther than gzip looks back."""

    def __init__(self, block: bytes) -> None:
        self.block = block * 2
        self.at = 0

    def read(self, size: int) -> bytes:
        self.at = (self.at + 7919 * 4) % (len(self.block) // 2)
        return self.block[self.at : self.at + size]


def make_archive(path: Path, size_mb: int, *, noise: bool) -> None:
    """Write an archive that unpacks to `size_mb`: noise, or weights with an eighth of text, and 20 small files."""
    source = random.Random(1)
    weights = array.array("f", (source.gauss(0, 0.05) for _ in range(1 << 19))).tobytes()
    words = [bytes(source.choices(b"abcdefghijklmnopqrstuvwxyz", k=source.randint(2, 9))) for _ in range(5000)]
    text = b" ".join(source.choices(words, k=400_000))[: 2 << 20]
    with (
        path.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=0 if noise else 1) as packed,
        tarfile.open(fileobj=packed, mode="w|", bufsize=BLOCK) as tar,
    ):
        for part in range(8):
            kinds = [("noise", source.randbytes(2 << 20), 8)] if noise else [("weights", weights, 7), ("text", text, 1)]
            for kind, block, eighths in kinds:
                member = tarfile.TarInfo(f"components/{part}/{kind}")
                member.size = (size_mb << 20) // 64 * eighths
                tar.addfile(member, Cycle(block))  # type: ignore[arg-type]  # all that is needed is `read`
        for number in range(20):
            member = tarfile.TarInfo(f"components/small/{number}.json")
            member.size = 2000
            tar.addfile(member, Cycle(text))  # type: ignore[arg-type]  # likewise


def copy(archive: Path, here: Path, *, durable: bool) -> None:
    digest = hashlib.sha256()
    with archive.open("rb", buffering=0) as source, (here / "copy").open("wb", buffering=0) as target:
        while block := source.read(BLOCK):
            digest.update(block)
            target.write(block)
        if durable:
            os.fsync(target.fileno())


def extract(archive: Path, here: Path) -> None:
    with gzip.open(archive) as packed, tarfile.open(fileobj=packed, mode="r|", bufsize=BLOCK) as tar:
        tar.extractall(here / "extracted", filter="fully_trusted")


def measure(what: str, archive: Path, here: Path) -> tuple[float, int]:
    """Run in a process of its own: seconds, and MB by which the peak of memory grew."""
    models = Models(DiskPersistor(here / "store"), directory=here / "cache")
    models.push(FIXTURES / "tea-1.tar.gz", "warm")
    models.deploy("warm")
    actions: dict[str, Callable[[], object]] = {
        "copy": lambda: copy(archive, here, durable=False),
        "durable copy": lambda: copy(archive, here, durable=True),
        "push": lambda: models.push(archive, "model"),
        "pull": lambda: models.pull("model"),
        "tarfile": lambda: extract(archive, here),
        "unpack": lambda: unpack(archive, here / "unpacked"),
    }
    if what == "pull":
        models.push(archive, "model")
    os.sync()  # what earlier measurements left for the disk to do is theirs
    before = peak()
    begin = time.perf_counter()
    actions[what]()
    return time.perf_counter() - begin, peak() - before


def peak() -> int:
    # Not `ru_maxrss`: a process inherits that of its parent.
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0  # only Linux tells
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10


def fresh(what: str, archive: Path, base: Path) -> tuple[float, int]:
    here = Path(tempfile.mkdtemp(dir=base))
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            return process.submit(measure, what, archive, here).result()
    finally:
        scratch.remove(here)


def bench(archive: Path, base: Path, steps: list[str], rounds: int) -> dict[str, tuple[float, int]]:
    times: dict[str, list[tuple[float, int]]] = {step: [] for step in steps}
    for _ in range(rounds):
        for step in steps:
            times[step].append(fresh(step, archive, base))
    return {
        step: (statistics.median(seconds for seconds, _ in found), max(grown for _, grown in found))
        for step, found in times.items()
    }


def ratios(found: dict[str, tuple[float, int]]) -> dict[str, Any]:
    result: dict[str, Any] = {"seconds": {step: round(seconds, 3) for step, (seconds, _) in found.items()}}
    for step in ("push", "pull"):
        if step in found:
            result[f"{step} / copy"] = round(found[step][0] / found["copy"][0], 2)
            result[f"{step} / durable copy"] = round(found[step][0] / found["durable copy"][0], 2)
            result[f"{step}: memory MB"] = found[step][1]
    if "unpack" in found:
        result["tarfile / unpack"] = round(found["tarfile"][0] / found["unpack"][0], 2)
        result["unpack: memory MB"] = found["unpack"][1]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mb", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, help="where to work; by default the temporary directory")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="bench-models-", dir=options.directory))
    everything, unpacking = ["copy", "push", "durable copy", "pull", "tarfile", "unpack"], ["tarfile", "unpack"]
    results: dict[str, Any] = {}
    try:
        results["rich.tar.gz"] = ratios(bench(FIXTURES / "rich.tar.gz", base, unpacking, options.rounds * 3))
        for kind in ("weights", "noise"):
            archive = base / f"{kind}.tar.gz"
            make_archive(archive, options.size_mb, noise=kind == "noise")
            name = f"{kind}, {archive.stat().st_size >> 20} MB"
            results[name] = ratios(bench(archive, base, everything, options.rounds))
            if kind == "weights" and MEMORY_FILESYSTEM.is_dir() and free(MEMORY_FILESYSTEM) > 3 * options.size_mb << 20:
                memory = Path(tempfile.mkdtemp(dir=MEMORY_FILESYSTEM))
                try:
                    results[f"{name}, to memory"] = ratios(bench(archive, memory, unpacking, options.rounds))
                finally:
                    scratch.remove(memory)
            archive.unlink()
    finally:
        scratch.remove(base)
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, values in results.items():
        print(name)
        for key, value in values.items():
            print(f"  {key:24} {value}")


def free(directory: Path) -> int:
    return shutil.disk_usage(directory).free


if __name__ == "__main__":
    main()
