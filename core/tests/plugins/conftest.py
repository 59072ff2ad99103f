"""Distributions that stand on `sys.path` as pip would leave them: discovery reads them like any other."""

import importlib
import sys
from pathlib import Path
from textwrap import dedent

import pytest

STORE = """
from holdfast import Backend, BackendConfig, hookimpl
from holdfast.conversations.memory import MemoryTrackerStore

class Config(BackendConfig):
    url: str = "localhost"

class Store(MemoryTrackerStore):
    def __init__(self, config):
        super().__init__()
        self.config = config

@hookimpl
def holdfast_tracker_store():
    return Backend(config=Config, open=Store, summary="a store for tests")
"""

PERSISTOR = """
from holdfast import Backend, BackendConfig, Persistor, hookimpl
from pydantic import Field

class Config(BackendConfig):
    bucket: str = Field(json_schema_extra={"env": ["BUCKET_NAME"]})

class Shelf(Persistor):
    def __init__(self, config):
        self.config = config
    def upload(self, archive, key): ...
    def download(self, key, archive): ...
    def stat(self, key): ...

@hookimpl
def holdfast_persistor():
    return Backend(config=Config, open=Shelf)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution whose entry points all lead to one module."""
    before = set(sys.modules)
    sites = []

    def installed(name, source, *, version="1.0", stores=(), persistors=(), value=None, site="site"):
        directory = tmp_path / site
        if directory not in sites:
            directory.mkdir()
            monkeypatch.syspath_prepend(str(directory))
            sites.append(directory)
        module = name.replace("-", "_")
        (directory / f"{module}.py").write_text(dedent(source), encoding="utf-8")
        info = directory / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        lines = []
        for group, names in (("holdfast.tracker_stores", stores), ("holdfast.persistors", persistors)):
            lines += [f"[{group}]", *(f"{each} = {value or module}" for each in names)]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        importlib.invalidate_caches()
        return module

    yield installed
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], "__file__", None)
        if origin and Path(origin).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def working_directory(tmp_path, monkeypatch):
    """A working directory that is not on `sys.path`, as for an installed command."""
    before = set(sys.modules)
    here = tmp_path / "project"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield here
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], "__file__", None)
        if origin and Path(origin).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def store_source():
    return STORE


@pytest.fixture
def persistor_source():
    return PERSISTOR
