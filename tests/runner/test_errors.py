"""Exceptions: what they are, what they say, what they carry, and that they travel between processes."""

import copy
import inspect
import os
import pickle
import re
import subprocess
import traceback
from typing import Any

import pytest

import venvrunner
from helpers.callers import Caller
from venvrunner import (
    CommandError,
    CommandStoppedError,
    CommandTimeoutError,
    ExitCodeLostError,
    OutputDecodeError,
    VenvError,
    VenvRunner,
    exceptions,
    subprocess_util,
)

CLASSES = [
    cls
    for name, cls in vars(exceptions).items()
    if inspect.isclass(cls) and issubclass(cls, VenvError) and not name.startswith("_")
]
LEAVES = [cls for cls in CLASSES if cls is not VenvError]


def branches() -> dict[str, tuple[str, ...]]:
    """Read the tree in the module's docstring: a class, the one above it, and the standard exception that it is too."""
    above: list[str] = []
    found: dict[str, tuple[str, ...]] = {}
    for start, name, base in re.findall(r"^    ([│├└─ ]*)(\w+)(?: +is an? ([\w.]+))?$", str(exceptions.__doc__), re.MULTILINE):
        above[len(start) // 4 :] = [name]
        found[name] = tuple(filter(None, [*above[-2:-1], base.rpartition(".")[2]]))
    return found


def bases(cls: type[BaseException]) -> tuple[str, ...]:
    """Return the names of the classes above one, private ones left out."""
    return tuple(name for base in cls.__bases__ for name in (bases(base) if base.__name__.startswith("_") else [base.__name__]))


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    """What the documentation draws is what there is, and nothing is left out."""
    assert branches() == {"VenvError": ()} | {cls.__name__: bases(cls) for cls in LEAVES}


@pytest.mark.parametrize("cls", LEAVES)
def test_each_exception_is_ours_and_a_standard_one(cls: type[BaseException]) -> None:
    """Code that catches the standard exception keeps working; code that catches `VenvError` catches all."""
    assert issubclass(cls, VenvError)
    own = {Exception, BaseException, object, *(base for base in cls.__mro__ if base.__module__ == exceptions.__name__)}
    standard = [base for base in cls.__mro__ if base not in own]
    assert {base.__module__ for base in standard} <= {"builtins", "subprocess"}
    assert any(issubclass(base, Exception) for base in standard)


@pytest.mark.parametrize("cls", CLASSES)
def test_each_exception_is_public(cls: type[BaseException]) -> None:
    """Whoever is to catch it can import it from the package."""
    assert cls.__name__ in venvrunner.__all__
    assert getattr(venvrunner, cls.__name__) is cls
    assert cls.__doc__


def test_the_established_name_is_the_standard_class() -> None:
    """`subprocess_util.CalledProcessError` catches what `subprocess` raises too."""
    assert subprocess_util.CalledProcessError is subprocess.CalledProcessError


def examples() -> list[BaseException]:
    """Return one of each, with all that it can carry."""
    secret = ["tool", "--token=hunter2"]
    ended: list[Any] = [CommandStoppedError, ExitCodeLostError]
    plain: list[Any] = [
        cls for cls in LEAVES if not issubclass(cls, (CommandError, CommandTimeoutError, OutputDecodeError, *ended))
    ]
    failed: list[Any] = [cls for cls in LEAVES if issubclass(cls, CommandError)]
    found: list[BaseException] = [
        *(cls(3, secret, "out\n", "err\n", shown=["tool", "--token=****"]) for cls in failed),
        CommandError(returncode=-9, cmd=secret, output="out", stderr="", shown=["tool", "--token=****"]),
        CommandTimeoutError(secret, 2.5, "out\n", "err\n", shown=["tool", "--token=****"]),
        CommandTimeoutError(cmd=secret, timeout=2.5, output="out", stderr="", shown=["tool", "--token=****"]),
        CommandTimeoutError(secret, 2.5, "out\n", "err\n", shown=["tool", "--token=****"], silence=True),
        *(cls(secret, "why it ended", "out\n", "err\n", shown=["tool", "--token=****"]) for cls in ended),
        OutputDecodeError("utf-8", b"hunter2 \xff", 8, 9, "invalid start byte"),
        *(cls("what, where. What to do.") for cls in (VenvError, *plain)),
    ]
    for error in found:
        error.add_note("The last lines of stderr:\nerr")
    return found


def portrait(error: BaseException) -> tuple[Any, ...]:
    """Return all that one can see of an exception."""
    return type(error), str(error), repr(error), vars(error), error.__notes__, traceback.format_exception_only(error)


@pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
def test_an_exception_travels_between_processes(error: BaseException) -> None:
    """A pool of processes or a distributed test run pickles it: it comes back the same, masked, with its notes."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert portrait(pickle.loads(pickle.dumps(error, protocol))) == portrait(error)


@pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
def test_an_exception_can_be_copied(error: BaseException) -> None:
    """A copy is the same too."""
    assert portrait(copy.copy(error)) == portrait(error)


@pytest.mark.parametrize("error", examples(), ids=lambda error: type(error).__name__)
def test_an_exception_shows_no_secret(error: BaseException) -> None:
    """Its attributes are true; what people and logs see of it is masked, and its output is not shown at all."""
    shown = [str(error), repr(error), *traceback.format_exception_only(error)]
    assert "hunter2" not in "".join(shown)
    assert "out" not in "".join(shown[:2]).replace("without", "").replace("timed out", "").replace("Timeout", "")


@pytest.mark.parametrize("kind", [CommandStoppedError, ExitCodeLostError])
def test_an_ended_command_has_its_output_so_far(kind: Any) -> None:
    """Under the names that the standard exceptions have."""
    error = kind(["a"], "why", "out", "err")
    assert (error.cmd, error.reason, error.stdout, error.output, error.stderr) == (["a"], "why", "out", "out", "err")
    assert str(error).startswith("Command '['a']' ")


def test_a_bad_byte_reads_as_in_the_standard_exception() -> None:
    """All attributes are there; only `repr` leaves out the output, which may be secret or megabytes."""
    ours, standard = (cls("utf-8", b"a\xff", 1, 2, "why") for cls in (OutputDecodeError, UnicodeDecodeError))
    assert str(ours) == str(standard)
    assert ours.args == standard.args
    assert (ours.object, ours.start, ours.end, ours.encoding, ours.reason) == (b"a\xff", 1, 2, "utf-8", "why")


def test_an_exception_is_shown_true_when_nothing_is_masked() -> None:
    """Made by a caller or a double without `shown`, it reads as the standard one did until Python 3.14."""
    assert str(CommandError(3, ["a", "b"])) == "Command '['a', 'b']' returned non-zero exit status 3."
    assert str(CommandError(-9, ["a"])) == "Command '['a']' died with <Signals.SIGKILL: 9>."
    assert str(CommandError(-99, ["a"])) == "Command '['a']' died with unknown signal 99."
    assert str(CommandTimeoutError(["a"], 2.0)) == str(subprocess.TimeoutExpired(["a"], 2.0))
    assert repr(CommandError(3, ["a"])) == "CommandError(3, ['a'])"
    assert repr(CommandTimeoutError(["a"], 2.0)) == "CommandTimeoutError(['a'], 2.0)"


def test_a_failed_command_says_which_and_how(call: Caller) -> None:
    """The message has the command line and the status; `cmd` is a list of str, `stdout` and `stderr` exact text."""
    source = "import sys; print('out'); print('  why\\r', file=sys.stderr); sys.exit(7)"
    args = call.code(source, "an argument")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        call(args)
    error = caught.value
    assert isinstance(error, CommandError)
    assert isinstance(error.cmd, list)
    assert error.cmd[1:] == args[1:]
    assert (error.returncode, error.stdout, error.output, error.stderr) == (7, "out\n", "out\n", "  why\r\n")
    assert str(error) == f"Command '{error.cmd}' returned non-zero exit status 7."


def test_a_command_that_a_signal_ended_says_so(call: Caller) -> None:
    """The status is `-n`, and the message names the signal."""
    with pytest.raises(CommandError, match=r"died with <Signals\.SIGKILL: 9>") as caught:
        call.run("import os; os.kill(os.getpid(), 9)")
    assert caught.value.returncode == -9


def test_without_check_a_failure_is_a_result(call: Caller) -> None:
    """`check=False` returns the status and both texts."""
    result = call.run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)", check=False)
    assert (result.returncode, result.stdout, result.stderr) == (7, "out\n", "err\n")


def test_a_traceback_shows_why_a_command_failed(call: Caller) -> None:
    """A note has the last lines of standard error, and a formatted traceback ends with them."""
    with pytest.raises(CommandError) as caught:
        call.run("import sys; print('out'); sys.stderr.write('a\\r\\n\\n  b: 1 %s {x}\\n\\n'); sys.exit(1)")
    assert caught.value.__notes__ == ["The last lines of stderr:\na\n\n  b: 1 %s {x}"]
    shown = "".join(traceback.format_exception(caught.value))
    assert shown.endswith("status 1.\nThe last lines of stderr:\na\n\n  b: 1 %s {x}\n")


@pytest.mark.parametrize("stderr", ["", "\\n \\n"])
def test_the_note_falls_back_to_stdout(call: Caller, stderr: str) -> None:
    """Many tools, pytest among them, say on standard output what went wrong."""
    with pytest.raises(CommandError) as caught:
        call.run(f"import sys; print('out'); sys.stderr.write('{stderr}'); sys.exit(1)")
    assert caught.value.__notes__ == ["The last lines of stdout:\nout"]


@pytest.mark.parametrize("blank", ["", "\\n", " \\n\\t\\r\\n"])
def test_a_command_without_output_has_no_note(call: Caller, blank: str) -> None:
    """An empty note says nothing."""
    with pytest.raises(CommandError) as caught:
        call.run(f"import sys; sys.stdout.write('{blank}'); sys.stderr.write('{blank}'); sys.exit(1)")
    assert not hasattr(caught.value, "__notes__")


def test_a_note_has_the_last_lines_only(drive: Caller) -> None:
    """Ten lines tell why; all of a long log would hide it."""
    with pytest.raises(CommandError) as caught:
        drive.run("import sys; [print(n, file=sys.stderr) for n in range(5000)]; sys.exit(1)")
    assert caught.value.__notes__ == ["The last lines of stderr:\n" + "\n".join(map(str, range(4990, 5000)))]
    assert caught.value.stderr == "".join(f"{number}\n" for number in range(5000))


def test_a_note_of_an_endless_line_has_its_end(drive: Caller) -> None:
    """One line of megabytes does not fill the traceback."""
    with pytest.raises(CommandError) as caught:
        drive.run("import sys; sys.stderr.write('x' * 3_000_000 + ' the end'); sys.exit(1)")
    (note,) = caught.value.__notes__
    assert note.startswith("The last lines of stderr:\n")
    assert note.endswith("xxx the end")
    assert len(note) < 3000


def test_output_stays_out_of_repr(call: Caller) -> None:
    """`repr` is what a log line shows of an exception: the status and the command line, never the output."""
    with pytest.raises(CommandError) as caught:
        call.run("import sys; print('out' + 'put'); sys.exit(1)")
    assert "output" not in repr(caught.value)
    assert repr(caught.value).startswith("CommandError(1, [")


def test_a_timeout_says_what_and_how_long_and_why(drive: Caller) -> None:
    """The message has the time, the exception has what was read until then, and the note its last lines."""
    source = "import signal, sys; print('out', flush=True); print('slow: x', file=sys.stderr, flush=True); signal.pause()"
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        drive.run(source, timeout=2)
    assert isinstance(caught.value, CommandTimeoutError)
    error: Any = caught.value
    assert str(error) == f"Command '{error.cmd}' timed out after 2.0 seconds"
    assert (error.cmd[1:], error.timeout) == (["-c", source], 2.0)
    assert (error.stdout, error.output, error.stderr) == ("out\n", "out\n", "slow: x\n")
    assert error.__notes__ == ["The last lines of stderr:\nslow: x"]
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_a_missing_command_is_a_plain_file_not_found_error(drive: Caller) -> None:
    """Clients probe for an optional tool that way: not one of our classes, and `filename` says which."""
    with pytest.raises(FileNotFoundError) as caught:
        drive(["there-is-no-such-command", "x"])
    assert type(caught.value) is FileNotFoundError
    assert caught.value.filename == "there-is-no-such-command"


def test_a_program_whose_name_is_a_command_line_is_explained(drive: Caller) -> None:
    """Without an environment, where the system says that there is no such file."""
    with pytest.raises(FileNotFoundError, match=r"pass each argument as a separate item: \['python', '--version'\]") as caught:
        drive(["python --version"])
    assert caught.value.filename == "python --version"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no sh")
def test_what_is_said_of_a_shell_line_works_for_an_environment(venv: VenvRunner) -> None:
    """The runner itself refuses sh, which is no command of the environment, so the message names the call that runs it."""
    refused: Any = {"shell": True}
    with pytest.raises(TypeError, match="shell=") as caught:
        venv.log_run(["python"], **refused)
    found = re.search(r"use (subprocess_util\.log_run\(\[.*\])\), for an environment with (env=.*)\.$", str(caught.value))
    assert found is not None
    names = {"subprocess_util": subprocess_util, "venv": venv, "line": "python -c 'import sys; print(sys.prefix)' | cat"}
    assert eval(f"{found[1]}, {found[2]})", names).stdout == f"{venv.venv_dir}\n"
