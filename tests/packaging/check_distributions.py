"""Looks into built wheels and sdists: `check_distributions.py FOLDER`."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path, PurePosixPath


def check_wheel(path: Path) -> None:
    package, version = path.name.split("-")[:2]
    info = f"{package}-{version}.dist-info"
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        metadata = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())
    assert {f"{package}/__init__.py", f"{package}/py.typed", f"{info}/licenses/LICENSE"} <= names, names
    assert {PurePosixPath(name).parts[0] for name in names} == {package, info}, names
    assert not [name for name in names if "test" in PurePosixPath(name).name and package != "holdfast_testkit"], names
    assert not [name for name in names if "tests" in PurePosixPath(name).parts], names
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"


def check_sdist(path: Path) -> None:
    top = path.name.removesuffix(".tar.gz")
    with tarfile.open(path) as sdist:
        names = {name.removeprefix(f"{top}/") for name in sdist.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "PKG-INFO"} <= names, names
    assert {PurePosixPath(name).parts[0] for name in names} <= {
        "LICENSE", "README.md", "pyproject.toml", "PKG-INFO", ".gitignore", "src", "tests",
    }, names  # fmt: skip


def main() -> None:
    folder = Path(sys.argv[1])
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    assert wheels
    assert len(wheels) == len(sdists)
    for path in wheels:
        check_wheel(path)
    for path in sdists:
        check_sdist(path)
    print("\n".join(path.name for path in [*wheels, *sdists]))


if __name__ == "__main__":
    main()
