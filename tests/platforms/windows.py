"""The program that checks Windows: a creation takes half a minute under Wine, so all checks share a few environments.

    python windows.py RESULTS

It writes a line of JSON to the file RESULTS for each check: its name, "passed", "failed" or "skipped", and a reason.
"""

import _thread
import asyncio
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from venvrunner import (
    CallError,
    CommandStoppedError,
    CommandTimeoutError,
    FakeVenvRunner,
    VenvInUseError,
    VenvRunner,
    VenvSpec,
    subprocess_util,
)

DEADLINE = 60.0
PREFIX = "import sys; print(sys.prefix)"
SLEEP = "import time; time.sleep(600)"
LEAVE = f"""
import subprocess, sys
null = subprocess.DEVNULL
child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}], stdin=null, stdout=null, stderr=null)
print(child.pid, flush=True)
"""
INHERIT = f"""
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep({2 * DEADLINE})"]).pid, flush=True)
"""
SCRIPT = """# /// script
# requires-python = ">=3.11"
# dependencies = ["demo-win"]
# ///
import sys
print("größe", *sys.argv[1:])
"""
checks: list[Callable[["Shared"], None]] = []


class Skip(Exception):  # noqa: N818  it is not an error
    """A check that is not possible here, with the reason."""


class Shared:
    """The objects that the checks share: a directory, an environment with pip, and a wheel with a command."""

    venv: VenvRunner

    def __init__(self, top: Path) -> None:
        self.top = top
        self.fake = FakeVenvRunner()
        self.wheel = _wheel(top)


def _wheel(directory: Path) -> Path:
    name = "demo_win-1.0"
    files = {
        "demo_win.py": "import sys\ndef main():\n    print('demo', sys.prefix, sys.argv[1:])\n",
        f"{name}.dist-info/METADATA": "Metadata-Version: 2.1\nName: demo-win\nVersion: 1.0\n",
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: demo\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}.dist-info/entry_points.txt": "[console_scripts]\ndemo = demo_win:main\n",
    }
    record = f"{name}.dist-info/RECORD"
    path = directory / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        archive.writestr(record, "".join(f"{file},,\n" for file in (*files, record)))
    return path


def check(function: Callable[[Shared], None]) -> Callable[[Shared], None]:
    """Run a function as a check, in the order of the file."""
    checks.append(function)
    return function


def is_running(pid: int) -> bool:
    """Return whether a process runs."""
    kernel = vars(ctypes)["WinDLL"]("kernel32")
    kernel.OpenProcess.restype = ctypes.c_void_p
    handle = kernel.OpenProcess(0x100000, 0, pid)  # SYNCHRONIZE
    if not handle:
        return False
    try:
        return bool(kernel.WaitForSingleObject(ctypes.c_void_p(handle), 0))
    finally:
        kernel.CloseHandle(ctypes.c_void_p(handle))


def wait_until(condition: Callable[[], object]) -> None:
    """Wait with a deadline."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"the condition did not come true within {DEADLINE} seconds"
        time.sleep(0.02)


def demo(venv: VenvRunner) -> str:
    """Return which environment the command of the wheel runs in."""
    line = venv.log_run(["demo", "a b", ""]).stdout
    assert line.startswith("demo "), line
    assert line.endswith(" ['a b', '']\n"), line
    return line.removeprefix("demo ").removesuffix(" ['a b', '']\n")


@check
def create(shared: Shared) -> None:
    """W1, W2: the lock is taken and released, and commands are found."""
    shared.venv = VenvRunner("venv", shared.top)
    assert shared.venv.log_run(["python", "-c", PREFIX]).stdout == f"{shared.venv.venv_dir}\n"


@check
def reuse(shared: Shared) -> None:
    marker = Path(shared.venv.venv_dir, "marker")
    marker.touch()
    shared.venv = VenvRunner("venv", shared.top, exist="reuse")
    assert marker.exists()


@check
def text_without_carriage_returns(shared: Shared) -> None:
    """W13: the same text as on other systems, and in UTF-8 whatever the code page is."""
    done = shared.venv.log_run(["python", "-c", "import sys; print('größe'); print('µ', file=sys.stderr)"])
    assert (done.stdout, done.stderr) == ("größe\n", "µ\n")


@check
def encoding(shared: Shared) -> None:
    source = "import sys; sys.stdout.buffer.write('größe'.encode('cp850'))"
    assert shared.venv.log_run(["python", "-c", source], encoding="cp850").stdout == "größe"


@check
def log_run_with_callbacks(shared: Shared) -> None:
    out: list[str] = []
    err: list[str] = []
    source = "import sys; [print(n) for n in range(1000)]; print('  e', file=sys.stderr)"
    done = shared.venv.log_run(["python", "-c", source], None, out.append, err.append)
    assert out == done.stdout.splitlines() == [str(n) for n in range(1000)]
    assert err == ["  e"]


@check
def async_log_run_with_callbacks(shared: Shared) -> None:
    out: list[str] = []

    async def take(line: str) -> None:
        await asyncio.sleep(0)
        out.append(line)

    async def main() -> None:
        calls = [shared.venv.async_log_run(["python", "-c", f"print({n})"], None, take) for n in range(3)]
        assert [done.stdout for done in await asyncio.gather(*calls)] == ["0\n", "1\n", "2\n"]
        shared.venv.log_run(["python", "-c", "print(3)"], None, take)

    asyncio.run(main())
    assert sorted(out) == ["0", "1", "2", "3"]


@check
def selector_event_loop(shared: Shared) -> None:
    """W5: a loop that can neither watch pipes nor start processes."""

    async def take(line: str) -> None:
        out.append(line)

    async def main() -> None:
        await shared.fake.async_log_run(["python", "-c", "print(1)"], None, take)
        shared.fake.log_run(["python", "-c", "print(2)"], None, take)
        async with VenvRunner.temporary(with_pip=False):
            pass

    out: list[str] = []
    factory: Any = vars(asyncio)["SelectorEventLoop"]
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    assert out == ["1", "2"]


@check
def lines(shared: Shared) -> None:
    found = []
    for line in shared.fake.lines(["python", "-c", f"print(1); print(2); {SLEEP}"]):
        found.append(line)
        if line == "2":
            break
    assert found == ["1", "2"]


@check
def input_text(shared: Shared) -> None:
    text = "é\n" * 100_000
    source = "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data)"
    assert shared.fake.log_run(["python", "-c", source], input=text).stdout == text


@check
def timeout(shared: Shared) -> None:
    with pytest.raises(CommandTimeoutError) as caught:
        shared.fake.log_run(["python", "-c", f"print('begun'); {SLEEP}"], timeout=20, grace=0.1)
    assert str(caught.value.stdout) == "begun\n"


@check
def silence_timeout_async(shared: Shared) -> None:
    async def main() -> None:
        await shared.fake.async_log_run(["python", "-c", SLEEP], silence_timeout=2, grace=0.1)

    with pytest.raises(CommandTimeoutError):
        asyncio.run(main())


@check
def tree_is_ended(shared: Shared) -> None:
    """W9, W11: what the command has started is ended with it."""
    pids: list[int] = []

    def take(line: str) -> None:
        pids.append(int(line))
        shared.fake.stop()

    with pytest.raises(CommandStoppedError):
        shared.fake.log_run(["python", "-c", LEAVE + SLEEP], None, take, grace=0.1)
    assert not is_running(pids[0])


@check
def cancel(shared: Shared) -> None:
    """W11: other tasks of the loop go on while the tree is ended."""
    pids: list[int] = []

    async def main() -> None:
        begun = asyncio.Event()

        def take(line: str) -> None:
            pids.append(int(line))
            begun.set()

        task = asyncio.create_task(shared.fake.async_log_run(["python", "-c", LEAVE + SLEEP], None, take, grace=0.1))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert not is_running(pids[0])


@check
def daemon_goes_on(shared: Shared) -> None:
    pid = int(shared.fake.log_run(["python", "-c", LEAVE]).stdout)
    assert is_running(pid)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not is_running(pid))


@check
def daemon_with_the_pipes_does_not_hold_the_call(shared: Shared) -> None:
    """It has inherited them all, and threads of this process wait in them."""
    pid = int(shared.fake.log_run(["python", "-c", INHERIT], input="x" * 1_000_000).stdout)
    assert is_running(pid)
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not is_running(pid))


@check
def contain_ends_a_daemon(shared: Shared) -> None:
    """W9: nothing outlives the call."""
    pid = int(shared.fake.log_run(["python", "-c", LEAVE], contain=True, grace=0.1).stdout)
    assert not is_running(pid)


@check
def contain_ends_with_this_process(shared: Shared) -> None:
    """W9: not even the end of the calling process without any cleanup is outlived."""
    source = f"""
import os, sys
from venvrunner import FakeVenvRunner
def take(line):
    print(line, flush=True)
    os._exit(0)
FakeVenvRunner().log_run(["python", "-c", {LEAVE + SLEEP!r}], None, take, contain=True)
"""
    pid = int(subprocess.run([sys.executable, "-c", source], stdout=subprocess.PIPE, check=False, timeout=DEADLINE).stdout)
    wait_until(lambda: not is_running(pid))


@check
def ctrl_break(shared: Shared) -> None:
    """The polite end reaches the command, which has the grace to end by itself."""
    if not vars(ctypes)["WinDLL"]("kernel32").GetConsoleCP():
        msg = "CTRL_BREAK needs a console, and this process has none"
        raise Skip(msg)
    sent: list[int] = []

    def kill(pid: int, signum: int, kill: Callable[[int, int], None] = os.kill) -> None:
        kill(pid, signum)
        sent.append(signum)

    begin = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "kill", kill)
        with pytest.raises(CommandStoppedError):
            shared.fake.log_run(["python", "-c", f"print(1); {SLEEP}"], None, lambda _line: shared.fake.stop(), grace=DEADLINE)
    assert sent == [vars(signal)["CTRL_BREAK_EVENT"]]
    assert time.monotonic() - begin < DEADLINE


@check
def handlers_of_ctrl_break(_shared: Shared) -> None:
    msg = "at CTRL_BREAK, Wine ends the main thread before it calls any handler"
    raise Skip(msg)


@check
def ctrl_c_in_a_terminal(_shared: Shared) -> None:
    msg = "Wine has no console window to press it in; the next check simulates the signal"
    raise Skip(msg)


@check
def interrupt_of_a_sync_call_in_a_loop(shared: Shared) -> None:
    """W10: the handler runs although the main thread waits for another, and the command is ended."""

    async def take(_line: str) -> None:
        threading.Timer(0.2, _thread.interrupt_main).start()

    async def main() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # that of asyncio.run only cancels at first
        shared.fake.log_run(["python", "-c", f"print(1); {SLEEP}"], None, take, grace=0.1)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    timer = threading.Timer(3, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        shared.fake.log_run(["python", "-c", SLEEP], grace=0.1)


@check
def variables_without_case(shared: Shared) -> None:
    """W6: one PATH, however it is spelled, with the scripts first and without the current directory."""
    source = "import os; print(os.environ['PATH'])"
    scripts = os.path.join(shared.venv.venv_dir, "Scripts")
    root = os.environ["SYSTEMROOT"]
    found = shared.venv.log_run(["python", "-c", source], env={"Path": r"C:\mine", "SystemRoot": root}).stdout
    assert found == f"{scripts};C:\\mine\n", found
    found = shared.venv.log_run(["python", "-c", source], env={"SystemRoot": root}).stdout
    assert "." not in found.split(";"), found


@check
def programs_of_the_current_directory(shared: Shared) -> None:
    """W6: they are not taken for commands."""
    directory = shared.top / "here"
    directory.mkdir()
    (directory / "onlyhere.bat").write_text("@echo wrong\n")
    before = os.getcwd()
    os.chdir(directory)
    try:
        with pytest.raises(FileNotFoundError):
            subprocess_util.log_run(["onlyhere"])
    finally:
        os.chdir(before)


@check
def batch_file_beside_a_script(shared: Shared) -> None:
    """W7: a file without a suffix is not a program."""
    scripts = Path(shared.venv.venv_dir, "Scripts")
    (scripts / "tool").write_text("#!/bin/sh\n")
    (scripts / "tool.bat").write_text(f'@"{sys.executable}" -c "import sys; print(sys.argv[1:])" %*\n')
    assert shared.venv.log_run(["tool", "a b"]).stdout == "['a b']\n"


@check
def arguments_for_a_batch_file(shared: Shared) -> None:
    """They arrive as they are, and none of them runs anything; what cannot be passed on is refused."""
    marker = shared.top / "marker"
    arguments = [f"x&echo.>{marker}", "|more", "a^b", "(c)", "!d!", "<e>", "f\\", "g h\\", "", "é", "demo>=1,<2"]
    assert shared.venv.log_run(["tool", *arguments]).stdout == f"{arguments}\n"
    assert not marker.exists()
    for argument in ('" & echo', "%PATH%", "a\nb"):
        with pytest.raises(ValueError, match=r"tool\.bat"):
            shared.venv.log_run(["tool", argument])


@check
def in_use_by_another_process(shared: Shared) -> None:
    """W1: the name of who holds an environment can be read although the file is locked."""
    source = """
import sys
from venvrunner import VenvRunner
venv = VenvRunner("other", sys.argv[1], with_pip=False)
print("made", flush=True)
sys.stdin.readline()
"""
    command = [sys.executable, "-c", source, str(shared.top)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "made\n"
        with pytest.raises(VenvInUseError, match=rf"process {process.pid} \("):
            VenvRunner("other", shared.top, with_pip=False, wait=0)
        process.communicate("\n")
    VenvRunner.open(str(shared.top / "other")).delete()
    assert not (shared.top / "other").exists()


@check
def state_is_replaced_while_it_is_read(shared: Shared) -> None:
    """W12: a reader hinders for as long as it reads."""
    venv = VenvRunner("read", shared.top, with_pip=False)
    with open(os.path.join(venv.venv_dir, ".venvrunner", "state"), "rb") as file:
        threading.Timer(0.5, file.close).start()
        VenvRunner("read", shared.top, with_pip=False).delete()
    assert not (shared.top / "read").exists()


@check
def read_only_files_are_deleted(shared: Shared) -> None:
    """W3, W8: and so is what this process has open, also by another runner."""
    first = VenvRunner("gone", shared.top, with_pip=False)
    second = VenvRunner("gone", shared.top, with_pip=False, exist="reuse")
    directory = Path(first.venv_dir, "Lib", "read-only")
    directory.mkdir()
    (directory / "file").touch()
    (directory / "file").chmod(0o444)
    second.delete()
    assert not os.path.exists(first.venv_dir)


@check
def install_with_pip(shared: Shared) -> None:
    receipt = shared.venv.install(shared.wheel, no_index=True)
    assert dict(receipt.added) == {"demo-win": "1.0"}
    assert shared.venv.installed()["demo-win"] == "1.0"
    assert demo(shared.venv) == shared.venv.venv_dir


@check
def fork(shared: Shared) -> None:
    """W4: its commands are programs that run its own interpreter."""
    child = shared.venv.fork("fork", shared.top)
    assert demo(child) == child.venv_dir
    with pytest.raises(VenvInUseError):
        shared.venv.delete()
    child.delete()


@check
def standalone_fork(shared: Shared) -> None:
    """W4: the same, with copies of all that the parent has."""
    child = shared.venv.fork("alone", shared.top, standalone=True)
    assert demo(child) == child.venv_dir
    assert child.installed() == shared.venv.installed()
    child.delete()


@check
def install_with_uv(shared: Shared) -> None:
    """W4: uv's launchers have another format."""
    venv = VenvRunner("uv", shared.top, with_pip=False, installer="uv")
    venv.install(shared.wheel, no_index=True)
    assert demo(venv) == venv.venv_dir
    child = venv.fork("uv-fork", shared.top, standalone=True)
    venv.delete()
    assert demo(child) == child.venv_dir
    assert dict(child.uninstall("demo-win").removed) == {"demo-win": "1.0"}
    child.delete()


@check
def function_calls(shared: Shared) -> None:
    def read(*names: str) -> dict[str, object]:
        print("größe")
        return {"names": names, "input": input()}

    async def main() -> list[object]:
        calls = [shared.fake.async_call("operator:neg", number) for number in range(3)]
        return list(await asyncio.gather(*calls))

    lines: list[str] = []
    found = shared.venv.call(read, "a b", "é", stdout_loglevel=lines.append, input="µ\n")
    assert (found, lines) == ({"names": ["a b", "é"], "input": "µ"}, ["größe"])
    with pytest.raises(CallError) as caught:
        shared.fake.call("operator:truediv", 1, 0)
    assert caught.value.remote_type == "ZeroDivisionError"
    assert asyncio.run(main()) == [0, -1, -2]


@check
def options_of_all_calls(shared: Shared) -> None:
    runner = shared.fake.with_options(extra_env={"Mine": "1"}, check=False)
    done = runner.log_run(["python", "-c", "import os, sys; print(os.environ['MINE']); sys.exit(3)"])
    assert (done.returncode, done.stdout) == (3, "1\n")


@check
def async_twins(shared: Shared) -> None:
    async def main() -> str:
        async with VenvRunner.async_temporary(with_pip=False) as venv:
            assert (await venv.async_log_run(["python", "-c", PREFIX])).stdout == f"{venv.venv_dir}\n"
            child = await venv.async_fork("async", shared.top)
            assert (await child.async_log_run(["python", "-c", PREFIX])).stdout == f"{child.venv_dir}\n"
            await child.async_delete()
        return venv.venv_dir

    assert not os.path.exists(asyncio.run(main()))
    assert not (shared.top / "async").exists()


@check
def temporary(_shared: Shared) -> None:
    with VenvRunner.temporary(with_pip=False) as venv:
        assert venv.log_run(["python", "-c", PREFIX]).stdout == f"{venv.venv_dir}\n"
    assert not os.path.exists(os.path.dirname(venv.venv_dir))


@check
def command_line(shared: Shared) -> None:
    code = "import sys; print(sys.stdin.read(), sys.prefix); sys.exit(7)"
    command = [sys.executable, "-m", "venvrunner", "--keep", str(shared.top / "kept"), "--", "python", "-c", code]
    done = subprocess.run(command, input="in", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, f"in {shared.top / 'kept'}\n"), done
    VenvRunner.open(shared.top / "kept").delete()


def run(*arguments: str | Path) -> str:
    """Return what the command line prints. It is run in UTF-8, as the console of a user may be."""
    command = [sys.executable, "-X", "utf8", "-m", "venvrunner", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done
    return done.stdout


@check
def script_from_the_store(shared: Shared) -> None:
    """The command line prepares an environment in the store, and both it and the API take it from there, as fork and copy."""
    script = shared.top / "script ü.py"
    script.write_text(SCRIPT, encoding="utf-8")
    assert run("--installer", "uv", "-q", script, "a b", "é") == "größe a b é\n"
    reports = shared.top / "reports"
    reports.mkdir()
    json_file, junit_file = reports / "a.json", reports / "a.xml"
    version = "{}.{}".format(*sys.version_info)
    pythons = ["--python", sys.executable, "--python", version, "--jobs", "2"]
    output = run("--installer", "uv", *pythons, "--json", json_file, "--junit", junit_file, script, "x")
    assert sorted(output.splitlines()) == sorted(
        f"{name:{len(sys.executable)}} | größe x" for name in (version, sys.executable)
    )
    assert [entry["status"] for entry in json.loads(json_file.read_text(encoding="utf-8"))] == ["passed", "passed"]
    assert junit_file.read_text(encoding="utf-8").count("größe x") == 2
    entries = json.loads(run("store", "list", "--json"))
    assert len(entries) == 1, entries
    shutil.rmtree(reports)


@check
def copy_from_the_store(shared: Shared) -> None:
    script = shared.top / "script ü.py"
    spec = VenvSpec.from_script(script, installer="uv", with_pip=False)
    venv = asyncio.run(spec.async_create("copy", shared.top, cached=True))
    assert demo(venv) == venv.venv_dir
    assert len(json.loads(run("store", "list", "--json"))) == 1
    venv.delete()
    script.unlink()
    run("store", "verify")
    run("store", "prune", "--max-size", "0")
    assert json.loads(run("store", "list", "--json")) == []


@check
def doctor(_shared: Shared) -> None:
    report = json.loads(run("doctor", "--json"))
    assert report["ok"], report


@check
def pythons(_shared: Shared) -> None:
    found = json.loads(run("pythons", "--json"))["pythons"]
    assert [entry["executable"] for entry in found if entry["default"]] == [sys.executable]


@check
def fake_runner(shared: Shared) -> None:
    fake = shared.fake
    assert fake.log_run(["python", "-c", PREFIX]).stdout == f"{sys.prefix}\n"
    assert fake.resolve(["python"]) == [fake.python_executable] == [sys.executable]
    assert os.path.join(fake.top_dir, fake.name) == fake.venv_dir == sys.prefix
    assert (fake.scripts_dir, os.path.dirname(pytest.__path__[0])) == (os.path.join(sys.prefix, "Scripts"), fake.site_packages)
    assert "pytest" in fake.installed()
    for refused in (
        fake.delete,
        lambda: fake.install("pocket"),
        lambda: fake.fork("fork", shared.top),
        FakeVenvRunner.temporary,
    ):
        with pytest.raises(NotImplementedError):
            refused()


@check
def symbolic_links_are_not_allowed(_shared: Shared) -> None:
    msg = "Wine allows links to everyone; tests/platforms/test_windows.py has the rule"
    raise Skip(msg)


@check
def delete(shared: Shared) -> None:
    shared.venv.delete()
    shared.wheel.unlink()
    left = sorted(os.listdir(shared.top))
    assert left == ["here"], left


def main(results: str) -> int:
    """Run all checks; return 1 if one has failed."""
    failed = False
    with open(results, "w", encoding="utf-8") as file, _directory() as top:
        shared = Shared(top)
        for function in checks:
            begin, outcome, reason = time.monotonic(), "passed", ""
            try:
                function(shared)
            except Skip as exc:
                outcome, reason = "skipped", str(exc)
            except BaseException:  # noqa: BLE001  whatever it is, the others run
                outcome, reason = "failed", traceback.format_exc()
                failed = True
            entry = {"name": function.__name__, "outcome": outcome, "reason": reason, "seconds": time.monotonic() - begin}
            file.write(json.dumps(entry) + "\n")
            file.flush()
    return int(failed)


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        top = Path(directory, "a b")  # a blank, as many a user's name has
        top.mkdir()
        os.environ["VENVRUNNER_CACHE_DIR"] = os.path.join(directory, "cache")
        os.environ.update(UV_OFFLINE="1", UV_FIND_LINKS=top.as_uri())
        yield top


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
