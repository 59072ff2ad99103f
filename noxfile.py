"""The contributor's map: `nox -l` lists the sessions, `nox -s NAME` runs one, `nox` runs the default ones."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "types", "tests", "docs"]

ROOT = Path(__file__).parent
PLUGINS = sorted(path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml"))
DISTRIBUTIONS = ["core", *(f"plugins/{name}" for name in PLUGINS), "testkit"]

# What `tests` ran on both faces of a store is run on the store's own here: other installations, the same code.
BRIEF = ["-k", "not derived"]

# Each release of these two brings new findings, so we choose when to meet them.
RUFF = "ruff==0.17.*"
MYPY = "mypy==2.4.*"


def _project(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path / "pyproject.toml").read_text())["project"]


def _installable(*distributions: str) -> list[str]:
    return [f"./{path}" for path in distributions]


def _test_tools() -> list[str]:
    """Return what requirements-dev.txt names beside our own distributions."""
    lines = (ROOT / "requirements-dev.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-e "))]


def _floors() -> list[str]:
    """Return every dependency of every distribution, pinned to the oldest version it allows."""
    pins = set()
    for path in DISTRIBUTIONS:
        for requirement in map(Requirement, _project(path)["dependencies"]):
            if not requirement.name.startswith("holdfast"):
                (floor,) = (part.version for part in requirement.specifier if part.operator == ">=")
                marker = f" ; {requirement.marker}" if requirement.marker else ""
                pins.add(f"{requirement.name}=={floor}{marker}")
    return sorted(pins)


@nox.session
def run(session: nox.Session) -> None:
    """Run the main job of the README on the example assistant."""
    session.install(*_installable("core", "plugins/sql"))
    session.run("python", "examples/assistant/main_job.py", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests from the working tree and report coverage."""
    session.install("-r", "requirements-dev.txt")
    # Started by this variable, coverage also sees what pytest imports before its plugins run, such as our test kit.
    data = Path(session.create_tmp()).resolve() / ".coverage"
    env = {"COVERAGE_PROCESS_START": str(ROOT / "pyproject.toml"), "COVERAGE_FILE": str(data)}
    session.run("python", "-m", "pytest", *session.posargs, env=env)
    session.run("coverage", "combine", "-q", env={"COVERAGE_FILE": str(data)})
    if not session.posargs:
        session.run("coverage", "report", env={"COVERAGE_FILE": str(data)})


@nox.session
def core_alone(session: nox.Session) -> None:
    """Test the core where no plugin is installed."""
    session.install(*_installable("core", "testkit"), *_test_tools())
    session.run("python", "-m", "pytest", "core/tests", *session.posargs)


@nox.session
@nox.parametrize("plugin", PLUGINS, ids=PLUGINS)
def plugin_alone(session: nox.Session, plugin: str) -> None:
    """Run the kit on one plugin where no other is installed."""
    session.install(*_installable("core", f"plugins/{plugin}", "testkit"), *_test_tools())
    session.run("python", "-m", "pytest", f"plugins/{plugin}/tests/test_kit.py", *(session.posargs or BRIEF))


@nox.session
def lowest(session: nox.Session) -> None:
    """Test core and kits with the oldest version of every dependency that the distributions allow."""
    constraints = Path(session.create_tmp()).resolve() / "lowest.txt"
    constraints.write_text("\n".join(_floors()) + "\n")
    session.install("-c", str(constraints), *_installable(*DISTRIBUTIONS), *_test_tools())
    kits = [f"plugins/{plugin}/tests/test_kit.py" for plugin in PLUGINS]
    session.run("python", "-m", "pytest", "core", "testkit", *kits, *(session.posargs or BRIEF))


@nox.session
def types(session: nox.Session) -> None:
    """Check all types strictly, and the public API as a program that uses it."""
    session.install("-r", "requirements-dev.txt", MYPY, "types-PyYAML")
    session.run("mypy", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, the borders between packages, and the news fragments."""
    session.install("-r", "requirements-dev.txt", RUFF, "import-linter>=2.4", "towncrier>=24.8")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-cache")
    session.run("towncrier", "build", "--draft", "--version", "next", silent=True)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, warnings being errors, and execute its examples."""
    session.install(*_installable(*DISTRIBUTIONS), *_test_tools(), "-r", "docs/requirements.txt")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-E", "docs", "docs/_build/html")
    session.run("python", "-m", "pytest", "tests/docs", *session.posargs)


@nox.session
def wheels(session: nox.Session) -> None:
    """Build every distribution, look into it, and use the wheels in an empty environment."""
    session.install("build[uv]")
    built = Path(session.create_tmp()).resolve() / "dist"
    for old in built.glob("*"):
        old.unlink()
    for path in DISTRIBUTIONS:  # the wheel is built from the sdist, which proves that the sdist is complete
        session.run("python", "-m", "build", "--installer", "uv", "--outdir", str(built), path, silent=True)
    session.run("python", "tests/packaging/check_distributions.py", str(built))

    empty = built.parent / "empty"
    session.run("python", "-m", "venv", "--clear", str(empty))
    python, command = str(empty / "bin" / "python"), str(empty / "bin" / "holdfast")
    core, *rest = (str(next(built.glob(f"{_project(path)['name'].replace('-', '_')}-*.whl"))) for path in DISTRIBUTIONS)
    for step, plugins in (([core], []), (rest, PLUGINS)):
        session.run(python, "-m", "pip", "install", "-q", *step, external=True)
        session.run(python, "-m", "pip", "check", external=True)
        session.run(command, "--help", external=True, silent=True)
        listed = str(session.run(command, "plugins", "list", "--check", external=True, silent=True))
        session.log(listed)
        if {name for name in PLUGINS if f"holdfast-{name}" in listed} != set(plugins):
            session.error(f"`holdfast plugins list` should name these plugins: {plugins}")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against raw drivers; every figure is a ratio of one run (`nox -s bench -- NAME` runs one)."""
    # Servers are started as in the tests.
    session.install(*_installable(*DISTRIBUTIONS), *_test_tools(), "pytest")
    scripts = sorted(ROOT.glob("benchmarks/[!_]*.py"))
    for script in scripts:
        if not session.posargs or script.stem in session.posargs:
            session.run("python", str(script.relative_to(ROOT)))
