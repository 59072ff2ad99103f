"""`holdfast --help`, `holdfast plugins list`, and commands of plugins."""

import importlib
import json
import subprocess
import sys

import pytest

import holdfast
from holdfast.commands import exit_codes
from holdfast.commands.extensions import extensions

BROKEN_STORE = "import a_library_that_is_not_there\n"
COMMAND = """
import click

@click.command()
@click.option("--port", default=5005)
def serve(port):
    click.echo(f"serving at {port}")

not_a_command = 7
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    def installed(name, source, **groups):
        site = tmp_path / f"site-{name}"
        module = name.replace("-", "_")
        info = site / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{module}.py").write_text(source, encoding="utf-8")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        text = "".join(
            f"[holdfast.{group}]\n" + "".join(f"{point} = {module}{rest}\n" for point, rest in points.items())
            for group, points in groups.items()
        )
        (info / "entry_points.txt").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(str(site))
        importlib.invalidate_caches()
        extensions.cache_clear()

    return installed


def test_help_lists_the_commands_and_the_exit_codes(hf):
    result = hf("--help")
    assert result.code == 0
    for name in ("run", "models", "conversations", "check", "plugins"):
        assert f"\n  {name} " in result.out
    for code, meaning in exit_codes.MEANINGS.items():
        assert f"{code:>3}  {meaning}" in result.out


@pytest.mark.parametrize("group", [[], ["conversations"], ["models"], ["plugins"]])
def test_a_group_without_a_command_shows_its_help_on_stderr(hf, group):
    result = hf(*group)
    assert (result.code, result.out) == (exit_codes.USAGE, "")
    assert result.err == hf(*group, "--help").out


@pytest.mark.parametrize("group", ["conversations", "models", "plugins"])
def test_a_group_has_help_too(hf, group):
    result = hf(group, "--help")
    assert result.code == 0
    assert "list" in result.out


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "check",
        "plugins list",
        *(f"conversations {name}" for name in ("list", "show", "delete", "export", "import")),
        *(f"models {name}" for name in ("push", "pull", "list", "latest", "verify", "delete")),
    ],
)
def test_every_command_explains_itself_and_takes_json(hf, command):
    result = hf(*command.split(), "--help")
    assert result.code == 0
    assert "--json" in result.out
    assert "--verbose" in result.out
    assert ("--endpoints" in result.out) == (command != "plugins list")


def test_the_version_is_that_of_the_package(hf):
    assert hf("--version").out == f"holdfast {holdfast.__version__}\n"


def test_an_unknown_command_is_a_usage_error_with_the_close_match(hf):
    result = hf("conversation", "list")
    assert result.code == exit_codes.USAGE
    assert "There is no command 'conversation'. Did you mean 'conversations'?" in result.err
    assert result.out == ""


def test_an_unknown_option_is_a_usage_error(hf):
    result = hf("plugins", "list", "--chekc")
    assert result.code == exit_codes.USAGE
    assert "--chekc" in result.err


def test_a_usage_error_is_json_for_programs(hf):
    result = hf("plugins", "list", "--json", "--chekc")
    assert result.code == exit_codes.USAGE
    assert json.loads(result.err)["error"]["type"] == "UsageError"


@pytest.mark.parametrize("arguments", [["--help"], ["plugins", "list"], ["conversations", "--help"], ["--version"]])
def test_start_up_is_light(arguments):
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"  # coverage, if it is measured, has its own
        "from holdfast.commands.main import holdfast\n"
        f"try: holdfast.main({arguments!r})\n"
        "except SystemExit: pass\n"
        "print([name for name in ('pydantic', 'yaml', 'rich', 'asyncio', 'sqlite3', 'holdfast_sql', 'sqlalchemy')"
        " if name in sys.modules.keys() - before], file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr == "[]\n"


def test_the_list_names_the_backends_of_the_core(hf):
    rows = [line.split("\t") for line in hf("plugins", "list").out.splitlines()]
    assert ["memory", "tracker_store", "holdfast", holdfast.__version__, "installed"] in rows
    assert ["disk", "persistor", "holdfast", holdfast.__version__, "installed"] in rows


def test_the_list_is_json_for_programs(hf):
    plugins = hf("plugins", "list", "--json").json()["plugins"]
    assert {"kind", "name", "distribution", "version", "status"} <= plugins[0].keys()


def test_check_imports_each_and_reports_the_broken_one_without_stopping(hf, install):
    install("holdfast-broken", BROKEN_STORE, tracker_stores={"Broken": ""})
    listed = hf("plugins", "list")
    assert listed.code == 0
    assert "Broken\ttracker_store\tholdfast-broken\t1.0\tinstalled\n" in listed.out
    checked = hf("plugins", "list", "--check")
    assert checked.code == exit_codes.CONFIGURATION
    assert "Broken\ttracker_store\tholdfast-broken\t1.0\tbroken" in checked.out
    assert "memory\ttracker_store\tholdfast" in checked.out
    assert "error: tracker_store: the plugin 'Broken' of holdfast-broken 1.0" in checked.err
    assert "a_library_that_is_not_there" in checked.err


def test_check_in_json_says_why_too(hf, install):
    install("holdfast-broken", BROKEN_STORE, tracker_stores={"Broken": ""})
    result = hf("plugins", "list", "--check", "--json")
    assert result.code == exit_codes.CONFIGURATION
    (broken,) = (plugin for plugin in result.json()["plugins"] if plugin["name"] == "Broken")
    assert broken["status"] == "broken"
    assert "a_library_that_is_not_there" in broken["detail"]


def test_two_distributions_with_one_name_are_a_conflict_that_is_listed(hf, install):
    install("holdfast-one", "", tracker_stores={"Twin": ""})
    install("holdfast-two", "", tracker_stores={"Twin": ""})
    result = hf("plugins", "list")
    assert result.out.count("\tconflict\n") == 2
    assert "more than one distribution offers 'Twin'" in result.err
    assert result.code == 0


def test_a_plugin_adds_a_command(hf, install):
    install("holdfast-server", COMMAND, commands={"serve": ":serve"})
    overview = hf("--help")
    assert "Commands of plugins" in overview.out
    assert "serve  from holdfast-server 1.0" in overview.out
    assert "holdfast_server" not in sys.modules
    result = hf("serve", "--port", "80")
    assert (result.code, result.out) == (0, "serving at 80\n")


def test_a_broken_command_of_a_plugin_breaks_only_itself(hf, install):
    install("holdfast-server", BROKEN_STORE, commands={"serve": ":serve"})
    assert "serve" in hf("--help").out
    assert hf("plugins", "list").code == 0
    result = hf("serve")
    assert result.code == exit_codes.CONFIGURATION
    assert "the command 'serve' of holdfast-server 1.0 (entry point `serve = holdfast_server:serve`)" in result.err
    assert "a_library_that_is_not_there" in result.err


def test_a_command_that_is_no_command_is_refused(hf, install):
    install("holdfast-server", COMMAND, commands={"serve": ":not_a_command"})
    result = hf("serve")
    assert result.code == exit_codes.CONFIGURATION
    assert "is int, not a click command" in result.err


def test_a_command_two_distributions_offer_is_refused(hf, install):
    install("holdfast-one", COMMAND, commands={"serve": ":serve"})
    install("holdfast-two", COMMAND, commands={"serve": ":serve"})
    assert "from holdfast-one 1.0 and holdfast-two 1.0" in hf("--help").out
    result = hf("serve")
    assert result.code == exit_codes.CONFIGURATION
    assert "Uninstall all but one" in result.err


def test_a_plugin_cannot_replace_a_command_of_the_core(hf, install):
    install("holdfast-evil", COMMAND, commands={"plugins": ":serve"})
    assert "memory\ttracker_store" in hf("plugins", "list").out
    assert "Commands of plugins" not in hf("--help").out
