"""Runs the examples of a Markdown page in the order in which they stand, as a reader would.

* A `python` block is executed; all blocks of a page share one namespace, and `await` may stand at top level. Where it
  has `# >` comments, they are what it prints.
* A `console` block is executed line by line: `$ holdfast …` runs, and the lines below it are compared with what it
  prints, where there are any. The command must succeed; show a failure with `; echo "exit code $?"`.
* `<!-- file: NAME -->` above a block of any language writes it to that file instead.
* `<!-- copy: FROM TO -->` copies a file or folder of the repository.
* `<!-- not executed: REASON -->` above a block leaves it alone.

In expected output `...` stands for any text. Blocks of other languages are only text.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import os
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMANDS = {"cat", "holdfast", "ls", "python"}
TOKEN = re.compile(
    r"^<!-- (?P<word>file|copy|not executed): *(?P<argument>.*?) *-->\n"
    r"|^(?P<fence>`{3,})(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


class PageError(AssertionError):
    """An example does not do what its page says."""


@dataclass(frozen=True)
class Step:
    """Something a page does: `run` a block, write it to a `file`, or `copy` one."""

    line: int  # of the block's first line of text
    action: str
    language: str = ""
    text: str = ""
    argument: str = ""


def steps(page: Path) -> list[Step]:
    """Return what the page's examples do, in order."""
    found: list[Step] = []
    content = page.read_text(encoding="utf-8")
    word = argument = ""
    for match in TOKEN.finditer(content):
        line = content.count("\n", 0, match.start()) + 1
        if match["word"]:
            if not match["argument"]:
                raise PageError(f"{page}:{line}: say what after {match['word']!r}")
            if match["word"] == "copy":
                found.append(Step(line, "copy", argument=match["argument"]))
            else:
                word, argument = match["word"], match["argument"]
            continue
        language = match["language"].strip()
        if language.startswith("{code-block} python"):
            raise PageError(f"{page}:{line}: write ```python, or the example is not executed")
        if word == "file":
            found.append(Step(line + 1, "file", language, match["text"], argument))
        elif not word and language in {"python", "console"}:
            found.append(Step(line + 1, "run", language, match["text"]))
        word = argument = ""
    return found


def run(page: Path, directory: Path) -> int:
    """Execute the page's examples in `directory` and return how many there were; raise what the first wrong one did."""
    todo = steps(page)
    module = types.ModuleType("page_example")
    with _inside(directory, module), asyncio.Runner() as runner:
        for step in todo:
            where = f"{page}:{step.line}"
            if step.action == "copy":
                _copy(step.argument, directory)
            elif step.action == "file":
                path = directory / step.argument
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(step.text, encoding="utf-8")
            elif step.language == "python":
                _run_python(step, page, where, module, runner)
            else:
                _run_console(step, directory, page)
    return len(todo)


def _copy(argument: str, directory: Path) -> None:
    source, target = argument.split()
    (directory / target).parent.mkdir(parents=True, exist_ok=True)
    if (ROOT / source).is_dir():
        shutil.copytree(ROOT / source, directory / target, dirs_exist_ok=True)
    else:
        shutil.copy(ROOT / source, directory / target)


def _run_python(step: Step, page: Path, where: str, module: types.ModuleType, runner: asyncio.Runner) -> None:
    # The empty lines make a traceback point into the page.
    source = "\n" * (step.line - 1) + step.text
    code = compile(source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        result = eval(code, module.__dict__)  # exec() would drop the coroutine of a top-level await
        if inspect.iscoroutine(result):
            runner.run(result)
    expected = [line[3:].removeprefix(" ") for line in step.text.splitlines() if line.startswith("# >")]
    if expected:
        _compare("\n".join(expected), printed.getvalue(), where)


def _run_console(step: Step, directory: Path, page: Path) -> None:
    commands: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(step.text.splitlines(), step.line):
        if line.startswith("$ "):
            commands.append((number, line[2:], []))
        elif commands:
            commands[-1][2].append(line)
        else:
            raise PageError(f"{page}:{number}: output without a `$ command` above it")
    env = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }
    for number, command, expected in commands:
        where = f"{page}:{number}"
        if command.split()[0] not in COMMANDS:
            raise PageError(f"{where}: only {sorted(COMMANDS)} are executed; put other commands into an `sh` block")
        done = subprocess.run(
            command, shell=True, cwd=directory, env=env, text=True, timeout=600, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if done.returncode:
            raise PageError(f"{where}: exit code {done.returncode} of: {command}\n{done.stdout}")
        if any(line.strip() for line in expected):
            _compare("\n".join(expected), done.stdout, where)


def _compare(expected: str, actual: str, where: str) -> None:
    expected, actual = (
        "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) for text in (expected, actual)
    )
    pattern = ".*".join(map(re.escape, expected.split("...")))
    if not re.fullmatch(pattern, actual, re.DOTALL):
        raise PageError(f"{where}: the page shows\n{expected}\n--- but it is\n{actual}")


@contextlib.contextmanager
def _inside(directory: Path, module: types.ModuleType) -> Iterator[None]:
    """Make `directory` the working directory, as importable as it is for a program started there."""
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(directory))
    known = set(sys.modules)
    try:
        with contextlib.chdir(directory):
            yield
    finally:
        sys.path.remove(str(directory))
        for name in set(sys.modules) - known:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(directory)):
                del sys.modules[name]
        del sys.modules[module.__name__]
