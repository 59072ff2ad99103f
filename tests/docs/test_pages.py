"""The runner of the examples fails for a wrong example, and says where it stands."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pages

Run = Callable[[str], int]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def write_and_run(text: str) -> int:
        page = tmp_path / "page.md"
        page.write_text(text)
        directory = tmp_path / "reader"
        directory.mkdir()
        return pages.run(page, directory)

    return write_and_run


def test_a_page_without_examples(run: Run) -> None:
    assert run("# Title\n\n```yaml\na: 1\n```\n\n```sh\nexit 1\n```\n") == 0


def test_blocks_share_a_namespace_and_may_await(run: Run) -> None:
    assert run("```python\nimport asyncio\nx = 1\n```\n\n```python\nawait asyncio.sleep(0)\nassert x == 1\n```\n") == 2


def test_an_exception_points_into_the_page(run: Run) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run("# Title\n\n```python\nx = 0\n1 / x\n```\n")
    last = caught.traceback[-1]
    assert (Path(str(last.path)).name, last.lineno + 1) == ("page.md", 5)


def test_a_wrong_assertion_after_an_await_fails(run: Run) -> None:
    with pytest.raises(AssertionError):
        run("```python\nimport asyncio\nawait asyncio.sleep(0)\nassert 1 == 2\n```\n")


def test_printed_text_is_compared(run: Run) -> None:
    with pytest.raises(pages.PageError, match=r"page\.md:2: the page shows\n3\n"):
        run("```python\nprint(1 + 1)\n# > 3\n```\n")


@pytest.mark.parametrize("shown", ["a 1 b", "a ... b", "... b"])
def test_printed_text_may_be_shortened(run: Run, shown: str) -> None:
    assert run(f"```python\nprint('a 1 b')\n# > {shown}\n```\n") == 1


def test_a_command_that_fails(run: Run) -> None:
    with pytest.raises(pages.PageError, match=r"page\.md:2: exit code 3 of: python"):
        run('```console\n$ python -c "raise SystemExit(3)"\n```\n')


def test_a_failure_that_is_shown(run: Run) -> None:
    assert run('```console\n$ python -c "raise SystemExit(3)"; echo "exit code $?"\nexit code 3\n```\n') == 1


def test_the_output_of_each_command_is_compared(run: Run) -> None:
    with pytest.raises(pages.PageError, match=r"page\.md:4: the page shows\ntwo\n--- but it is\n2\Z"):
        run('```console\n$ python -c "print(1)"\n1\n$ python -c "print(2)"\ntwo\n```\n')


def test_commands_run_with_this_python(run: Run) -> None:
    assert run(f'```console\n$ python -c "import sys; print(sys.prefix)"\n{sys.prefix}\n```\n') == 1


def test_other_commands_are_refused(run: Run) -> None:
    with pytest.raises(pages.PageError, match="`sh` block"):
        run("```console\n$ pip install holdfast\n```\n")


def test_output_without_a_command(run: Run) -> None:
    with pytest.raises(pages.PageError, match="output without"):
        run("```console\nhello\n```\n")


def test_a_file_is_written_for_what_follows(run: Run) -> None:
    page = (
        "<!-- file: sub/mine.py -->\n```python\nANSWER = 42\n```\n\n```console\n$ cat sub/mine.py\nANSWER = 42\n```\n"
    )
    assert run(page) == 2


def test_a_written_module_can_be_imported_and_is_forgotten(run: Run) -> None:
    run(
        "<!-- file: a_page_module.py -->\n```python\nANSWER = 42\n```\n\n```python\nfrom a_page_module import ANSWER\n```\n"
    )
    assert "a_page_module" not in sys.modules
    assert "page_example" not in sys.modules


def test_a_file_of_the_repository_is_copied(run: Run) -> None:
    assert run("<!-- copy: LICENSE legal/LICENSE -->\n\n```console\n$ ls legal\nLICENSE\n```\n") == 2


def test_what_is_not_executed_needs_a_reason(run: Run) -> None:
    with pytest.raises(pages.PageError, match=r"page\.md:1: say what after 'not executed'"):
        run("<!-- not executed: -->\n```python\n1 / 0\n```\n")


def test_a_reason_counts_for_one_block(run: Run) -> None:
    with pytest.raises(ZeroDivisionError):
        run("<!-- not executed: needs a server -->\n```python\n1 / 0\n```\n\n```python\n1 / 0\n```\n")


def test_python_hidden_in_a_directive_is_refused(run: Run) -> None:
    with pytest.raises(pages.PageError, match="write ```python"):
        run("```{code-block} python\n1 / 0\n```\n")
