"""The command as a process: terminals, pipes, signals, exit codes."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from holdfast.commands import exit_codes

HOLDFAST = [sys.executable, "-c", "from holdfast.commands.main import main; main()"]
SGR = re.compile(r"\x1b\[[0-9;]*m")


def environment(**more):
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return {**kept, "TERM": "xterm-256color", "PYTHONUNBUFFERED": "1", **more}


def on_terminal(*arguments, columns=80, streams=("stdout", "stderr"), env=None, typed=""):
    """Run with these streams on a terminal; gives exit code, and what the terminal and the rest received."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    ends = {name: slave if name in streams else subprocess.PIPE for name in ("stdout", "stderr")}
    stdin = slave if typed else subprocess.DEVNULL
    process = subprocess.Popen([*HOLDFAST, *arguments], **ends, stdin=stdin, env=env or environment())
    os.close(slave)
    os.write(master, typed.encode())
    shown = b""
    while True:
        try:
            data = os.read(master, 65_536)
        except OSError:  # the other end was closed
            break
        if not data:
            break
        shown += data
    os.close(master)
    rest = b"".join(part for part in process.communicate(timeout=30) if part)
    return process.returncode, shown.decode().replace("\r\n", "\n"), rest.decode()


def test_a_person_gets_a_table_with_headings_and_colours():
    code, shown, _ = on_terminal("plugins", "list")
    assert code == 0
    assert "name" in shown.splitlines()[0]
    assert "─" in shown
    assert SGR.search(shown)


def test_no_color_is_respected():
    _, shown, _ = on_terminal("plugins", "list", env=environment(NO_COLOR="1"))
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", shown)
    assert "name" in SGR.sub("", shown).splitlines()[0]


@pytest.mark.parametrize("columns", [80, 40])
def test_lines_fit_the_terminal(columns):
    _, shown, _ = on_terminal("plugins", "list", "--check", columns=columns)
    assert all(len(line) <= columns for line in SGR.sub("", shown).splitlines())
    _, shown, _ = on_terminal("check", columns=columns)
    assert all(len(line) <= columns for line in SGR.sub("", shown).splitlines())


def test_a_pipe_gets_plain_lines_of_any_length():
    code, shown, rest = on_terminal("check", streams=("stderr",), columns=20)
    assert code == 0
    assert not SGR.search(rest)
    assert "tracker_store\tdefault\tno section tracker_store: conversations are kept in memory and are gone" in rest
    assert shown == ""


def test_force_color_treats_a_pipe_as_a_terminal():
    result = subprocess.run(
        [*HOLDFAST, "plugins", "list"], capture_output=True, text=True, env=environment(FORCE_COLOR="1"), check=True
    )
    assert SGR.search(result.stdout)


@pytest.fixture
def many(here):
    event = {"event": "user", "text": "x" * 2000, "timestamp": 1.0}
    lines = [json.dumps({"sender_id": f"c{n}", "events": [event] * 3}) for n in range(300)]
    (here / "many.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return here / "many.jsonl"


def test_progress_is_shown_to_a_person_on_stderr_only(many):
    code, shown, rest = on_terminal("conversations", "import", str(many), streams=("stderr",))
    assert code == 0
    assert "importing" in shown
    assert rest.startswith("300 imported")


@pytest.mark.parametrize("streams", [("stdout",), ("stdout", "stderr")])
def test_progress_is_not_shown_to_programs(many, streams):
    json_flag = ["--json"] if "stderr" in streams else []
    _, shown, rest = on_terminal("conversations", "import", str(many), *json_flag, streams=streams)
    assert "importing" not in shown + rest


def test_bad_lines_stand_above_the_bar_and_stay(here):
    (here / "bad.jsonl").write_text("{\x1b\n" * 3, encoding="utf-8")
    code, shown, _ = on_terminal("conversations", "import", "bad.jsonl", streams=("stderr",))
    assert code == exit_codes.FAILURE
    assert "error: line 3: this is not JSON" in shown


@pytest.mark.parametrize(
    "arguments", [["plugins", "list"], ["--help"], ["conversations", "--help"], ["check", "--json"]], ids=" ".join
)
def test_a_reader_that_went_away_ends_the_command_quietly(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [*HOLDFAST, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, check=False, env=environment()
    )
    os.close(writer)
    assert (process.returncode, process.stderr) == (exit_codes.CLOSED_PIPE, "")


def test_a_person_is_asked_before_anything_is_erased():
    code, shown, _ = on_terminal("conversations", "delete", "a", typed="n\n")
    assert code == exit_codes.FAILURE
    assert "Erase conversation 'a' for good? [y/N]: " in shown
    assert "nothing was erased" in shown
    code, shown, _ = on_terminal("conversations", "delete", "a", typed="y\n")
    assert code == exit_codes.NOT_FOUND


def test_ctrl_c_ends_with_130_and_no_traceback():
    process = subprocess.Popen(
        [*HOLDFAST, "conversations", "import", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    process.stdin.write("{\n")
    process.stdin.flush()
    process.stdin.flush()
    assert "warning" in process.stderr.readline()
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == exit_codes.INTERRUPTED
    assert "Traceback" not in errors


def test_an_encoding_without_the_characters_still_gets_an_answer(here):
    (here / "endpoints.yml").write_text("nothing: 1\n", encoding="utf-8")
    (here / "domain.yml").write_text("slots: {}\n", encoding="utf-8")
    env = environment(PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    plain = subprocess.run([*HOLDFAST, "conversations", "show", "ü"], capture_output=True, env=env, check=False)
    assert plain.returncode == exit_codes.NOT_FOUND
    assert rb"no conversation '\xfc'" in plain.stderr
    (here / "ü.yml").write_text("x: 1\n", encoding="utf-8")
    for arguments in (["check", "ü.yml"], ["check", "ü.yml", "--json"]):
        result = subprocess.run([*HOLDFAST, *arguments], capture_output=True, env=env, check=False)
        assert result.returncode == 0
        assert result.stdout.isascii()
    assert json.loads(result.stdout)["sections"][0]["text"].startswith("ü.yml")
