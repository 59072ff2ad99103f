"""All distributions have the same shape, and every tool knows every distribution."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from holdfast.kinds import KINDS

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
DISTRIBUTIONS = [ROOT / "core", *PLUGINS, ROOT / "testkit"]
TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]

# Users install beside assistants that pin much, so a range is a floor; these have a reason for more.
CEILINGS = {
    "pluggy": "<2",  # hooks are its public interface, which a new major version may change
}

# What a plugin may import of the core, as docs/writing-a-backend.md promises; all else may change at any time.
PUBLIC = {"holdfast", "holdfast.conversations.cursor", "holdfast.conversations.store", "holdfast.errors"}

each_distribution = pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda path: path.name)
each_plugin = pytest.mark.parametrize("folder", PLUGINS, ids=lambda path: path.name)


def pyproject(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())


def package(folder: Path) -> str:
    return pyproject(folder)["project"]["name"].replace("-", "_")


def test_every_folder_of_plugins_is_a_plugin() -> None:
    folders = {path for path in ROOT.glob("plugins/*") if any(path.rglob("*.py"))}
    assert folders == set(PLUGINS)


@each_distribution
def test_files(folder: Path) -> None:
    source = folder / "src" / package(folder)
    for path in (folder / "README.md", source / "__init__.py", source / "py.typed"):
        assert path.is_file(), path
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert [path.name for path in (folder / "src").iterdir() if path.is_dir() and path.name != "__pycache__"] == [
        source.name
    ]
    assert (folder / "README.md").read_text().startswith(f"# {pyproject(folder)['project']['name']}\n")


@each_distribution
def test_metadata(folder: Path) -> None:
    mine, cores = pyproject(folder), pyproject(ROOT / "core")
    assert mine["build-system"] == cores["build-system"]
    for key in ("version", "license", "license-files", "readme", "requires-python", "authors"):
        assert mine["project"][key] == cores["project"][key], key
    assert mine["tool"]["hatch"]["build"]["targets"]["wheel"] == {"packages": [f"src/{package(folder)}"]}


@each_plugin
def test_a_plugin_is_named_after_its_folder(folder: Path) -> None:
    project = pyproject(folder)["project"]
    assert project["name"] == f"holdfast-{folder.name}"
    keys = [key for key in project if key != "optional-dependencies"]
    assert keys == list(pyproject(PLUGINS[0])["project"])
    groups = project["entry-points"]
    assert groups.keys() <= {"holdfast.tracker_stores", "holdfast.persistors"}
    for target in {target for group in groups.values() for target in group.values()}:
        assert target.split(".")[0] == package(folder)


@each_plugin
def test_a_plugin_has_the_same_files_as_every_other(folder: Path) -> None:
    def names(plugin: Path) -> set[str]:
        return {path.name for path in plugin.iterdir() if path.name in {"src", "tests"} or path.is_file()}

    assert names(folder) == {"LICENSE", "README.md", "pyproject.toml", "src", "tests"}
    assert list((folder / "tests").glob("test_*.py"))


@each_distribution
def test_ranges_are_floors(folder: Path) -> None:
    for text in pyproject(folder)["project"]["dependencies"]:
        requirement = Requirement(text)
        others = {str(part) for part in requirement.specifier if part.operator != ">="}
        assert len(requirement.specifier) - len(others) == 1, f"{text}: one floor, please"
        assert others == ({CEILINGS[requirement.name]} if requirement.name in CEILINGS else set()), text


@each_distribution
def test_every_tool_knows_it(folder: Path) -> None:
    name, path = package(folder), folder.relative_to(ROOT).as_posix()
    assert name in TOOLS["coverage"]["run"]["source_pkgs"]
    assert name in TOOLS["coverage"]["paths"]
    assert name in TOOLS["importlinter"]["root_packages"]
    assert name in TOOLS["ruff"]["lint"]["isort"]["known-first-party"]
    assert f"{path}/src" in TOOLS["mypy"]["mypy_path"]
    assert name.replace("_", "-") in TOOLS["uv"]["sources"]
    assert f"-e ./{path}" in (ROOT / "requirements-dev.txt").read_text().splitlines()


@each_plugin
def test_a_plugin_imports_public_modules_only(folder: Path) -> None:
    imported = set()
    for path in (folder / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module)
            elif isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
    assert {name for name in imported if name.split(".")[0] == "holdfast"} <= PUBLIC


def test_public_modules_are_documented() -> None:
    page = (ROOT / "docs" / "writing-a-backend.md").read_text()
    assert [name for name in sorted(PUBLIC) if f"`{name}`" not in page] == []


@each_plugin
def test_the_core_advertises_its_names(folder: Path) -> None:
    groups = pyproject(folder)["project"]["entry-points"]
    offered = {(group, name) for group, names in groups.items() for name in names}
    published = {(kind.group, name): package for kind in KINDS for name, package in kind.published.items()}
    assert {published.get(key) for key in offered} == {pyproject(folder)["project"]["name"]}


@each_plugin
def test_the_borders_of_every_plugin_are_watched(folder: Path) -> None:
    watched = [
        contract.get("modules", contract.get("source_modules"))
        for contract in TOOLS["importlinter"]["contracts"]
        if contract["name"].startswith("Plugins ")
    ]
    assert len(watched) == 2
    for modules in watched:
        assert package(folder) in modules
