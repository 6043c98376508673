"""`venvrunner completion`: the script that a shell reads knows the options."""

import shutil
import subprocess
from pathlib import Path

import pytest

from helpers.command_line import run
from helpers.programs import SOURCE


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_each_shell_gets_a_script_with_the_options(shell: str) -> None:
    """Those of a run, and those of a command."""
    done = run("completion", shell)
    assert (done.returncode, done.stderr) == (0, b"")
    for word in (b"install-timeout", b"universal", b"prune"):
        assert word in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_an_option(tmp_path: Path) -> None:
    """In a real shell."""
    script = tmp_path / "completion"
    script.write_bytes(run("completion", "bash").stdout)
    ask = 'COMP_WORDS=(venvrunner --install-t); COMP_CWORD=1; _shtab_venvrunner; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", f'source "$0"; {ask}', script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["--install-timeout"], done.stderr


def test_without_the_extra_one_sentence_says_so(tmp_path: Path) -> None:
    """And which extra it is."""
    (tmp_path / "shtab.py").write_text("raise ImportError\n")
    done = run("completion", "bash", PYTHONPATH=f"{tmp_path}:{SOURCE}")
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.endswith(b"Install venvrunner[completion].\n")
