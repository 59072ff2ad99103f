"""The main job on a small assistant: keep its model, keep its conversations, resume one of them.

python main_job.py [DIRECTORY]

Every step is a command of `holdfast`, shown before it runs. Without DIRECTORY all that it writes goes into a temporary
directory and is removed at the end.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
COMMANDS = Path(sysconfig.get_path("scripts"))


def step(title: str, *command: str, cwd: Path) -> None:
    """Show a command and run it; stop at the first that fails."""
    print(f"\n# {title}\n$ {shlex.join(command)}", flush=True)
    program = [sys.executable] if command[0] == "python" else [str(COMMANDS / command[0])]
    subprocess.run([*program, *command[1:]], cwd=cwd, check=True)  # noqa: S603  # the commands stand below


def main_job(directory: Path) -> None:
    """Run all steps in a directory, which is left as a working setup."""
    for name in ("endpoints.yml", "domain.yml", "conversations.jsonl", "resume.py"):
        shutil.copy(HERE / name, directory)
    shutil.copytree(HERE / "models", directory / "models", dirs_exist_ok=True)

    step("Push the trained model to the storage", "holdfast", "models", "push", "models/tea.tar.gz", cwd=directory)
    step(
        "Pull it back, as another machine would",
        "holdfast",
        "models",
        "pull",
        "tea",
        "--out",
        "pulled.tar.gz",
        cwd=directory,
    )
    step("Read the stored bytes again and verify their digest", "holdfast", "models", "verify", "tea", cwd=directory)
    step("Deploy the model, open the tracker store", "holdfast", "run", "--once", cwd=directory)
    step("Record the conversations", "holdfast", "conversations", "import", "conversations.jsonl", cwd=directory)
    step("Resume one of them in a second process", "python", "resume.py", "c01-happy", "greek, please", cwd=directory)
    step("What is stored", "holdfast", "conversations", "list", cwd=directory)
    step("The resumed conversation", "holdfast", "conversations", "show", "c01-happy", cwd=directory)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        main_job(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main_job(Path(temporary))
