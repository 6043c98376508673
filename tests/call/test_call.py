"""Functions that are called in an environment: what goes there, and what comes back."""

import asyncio
import enum
import math
import os
import signal
import sys
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from helpers.environments import packages
from venvrunner import CallError, CommandError, CommandTimeoutError, FakeVenvRunner, Runner, VenvRunner

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and descriptors of POSIX")
Call = Callable[..., Any]


@pytest.fixture(params=["call", "async_call"])
def way(request: pytest.FixtureRequest, venv: VenvRunner) -> Call:
    """Each of both methods in turn."""
    return plain(venv, request.param)


def plain(runner: Runner, name: str) -> Call:
    """Return one of the two methods as a plain function."""
    if name == "call":
        return runner.call

    def call(*args: Any, **keywords: Any) -> Any:
        return asyncio.run(runner.async_call(*args, **keywords))

    return call


def echo(*args: Any, **kwargs: Any) -> Any:
    return [args, kwargs]


def same(value: Any) -> Any:
    return value


def test_a_named_function_is_called_in_the_environment(way: Call, venv: VenvRunner) -> None:
    """With its arguments, and its value comes back."""
    assert way("posixpath:join", "a", "b") == "a/b"
    assert way("sysconfig:get_path", "scripts") == os.path.dirname(venv.python_executable)
    assert way("json.decoder:JSONDecodeError.mro", pickle=True)[1] is ValueError


def test_a_function_is_sent_by_its_source(way: Call, venv: VenvRunner) -> None:
    """With defaults, annotations, inner functions and imports of its own."""

    def prefix(of: "Nothing", *, depth: int = 1, more: tuple[int, ...] = (1, 2)) -> "NothingEither":  # type: ignore[name-defined]  # noqa: F821  they exist nowhere
        import sys as system

        def again(number: int) -> str:
            return system.prefix if number == depth else again(number + 1)

        count: int = sum(1 for _one in more)
        return [again(0), of, count]

    assert way(prefix, "x", depth=3) == [venv.venv_dir, "x", 2]


def test_the_fake_calls_in_the_running_interpreter() -> None:
    """In a child process, as it runs commands."""

    def where() -> Any:
        import os
        import sys

        return [sys.prefix, os.getpid()]

    prefix, pid = FakeVenvRunner().call(where)
    assert prefix == sys.prefix
    assert pid != os.getpid()


VALUES: list[Any] = [
    None,
    True,
    0,
    -(2**70),
    1e300,
    math.inf,
    "",
    'é\u2028\udc80\0"\\',
    [],
    {},
    {"a": [1, {"b": [None, 2.5]}], "": ""},
]


@pytest.mark.parametrize("value", VALUES)
def test_plain_data_comes_back_as_it_went(value: Any, venv: VenvRunner) -> None:
    """Text with half a character too, and infinity."""
    assert venv.call(same, value) == value
    assert venv.call(same, value=value) == value


def test_a_number_that_is_none_comes_back(venv: VenvRunner) -> None:
    """Both sides are Python."""
    assert math.isnan(venv.call(same, math.nan))


def test_the_kinds_of_json_are_what_comes_back(venv: VenvRunner) -> None:
    """A tuple is a list, and a derived class its base, in both directions."""

    class Colour(enum.IntEnum):
        RED = 3

    Point = namedtuple("Point", "x y")  # noqa: PYI024
    assert venv.call(echo, (1, 2), Colour.RED, Point(1, 2), OrderedDict(a=1)) == [[[1, 2], 3, [1, 2], {"a": 1}], {}]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({1, 2}, "args[0] is a set"),
        ({"a": [1, 2, b"x"]}, "args[0]['a'][2] is a bytes"),
        ({"a": {1: 2}}, "args[0]['a'] has the key 1, which is an int, not a str"),
        ([10**5000], "args[0][0] is an int with too many digits"),
        (Path("x"), "args[0] is a pathlib.PosixPath"),
    ],
)
def test_what_json_cannot_carry_is_refused_before_anything_starts(value: Any, what: str, venv: VenvRunner) -> None:
    """With the way to it in the data, of arguments and of values; pickle carries it."""
    with pytest.raises(TypeError) as caught:
        venv.call(same, value)
    assert str(caught.value) == (
        f"{what}, which JSON cannot carry. Pass text, numbers, booleans, None, lists and dicts with text keys,"
        " or use pickle=True."
    )
    with pytest.raises(TypeError, match=r"^kwargs\['value'\]"):
        venv.call(same, value=value)
    assert venv.call(same, value, pickle=True) == value


def test_data_that_contains_itself_is_refused(venv: VenvRunner) -> None:
    """As is data that is nested too deeply."""
    value: list[Any] = [1]
    value.append({"x": value})
    with pytest.raises(TypeError, match=r"^args\[0\]\[1\]\['x'\] contains itself, "):
        venv.call(same, value)
    deep: list[Any] = []
    for _number in range(100_000):
        deep = [deep]
    with pytest.raises(TypeError, match=r"^args\[0\] is nested too deeply, "):
        venv.call(same, deep)
    while deep:  # a list of lists is freed from the inside
        deep = deep.pop()


def test_a_value_that_json_cannot_carry_is_an_error(way: Call) -> None:
    """With the way to it in the data."""

    def flawed(which: Any) -> Any:
        circle: Any = {}
        circle["a"] = [circle]
        return {"set": [{"a": {1, 2}}], "keys": {"a": {None: 1}}, "circle": circle, "object": [object]}[which]

    found = {}
    for which in ("set", "keys", "circle", "object"):
        with pytest.raises(CallError) as caught:
            way(flawed, which)
        found[which] = str(caught.value).partition("carry: ")[2].partition(". Return text")[0]
        assert (caught.value.remote_type, caught.value.returncode) == (None, 1)
    assert found == {
        "set": "value[0]['a'] is a set",
        "keys": "value['a'] has the key None, which is a NoneType, not a str",
        "circle": "value['a'][0] contains itself",
        "object": "value[0] is a type",
    }


def test_a_large_value_and_large_arguments_travel(venv: VenvRunner) -> None:
    """More than a command line or a pipe holds."""
    text = "x" * 20_000_000
    assert venv.call(same, text) == text
    numbers = list(range(500_000))
    assert venv.call(same, {"numbers": numbers}) == {"numbers": numbers}


def test_the_output_is_streamed_and_is_not_the_value(way: Call) -> None:
    """Of the function, of C and of children; standard input is the caller's."""

    def noisy() -> Any:
        import os
        import subprocess
        import sys

        print("from Python", input())
        os.write(1, b"from C\n")
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
        print("to stderr", file=sys.stderr)
        return "value"

    out: list[str] = []
    err: list[str] = []
    assert way(noisy, input="asked\n", stdout_loglevel=out.append, stderr_loglevel=err.append) == "value"
    assert out == ["from Python asked", "from C", "from a child"]
    assert err == ["to stderr"]


def test_options_are_those_of_log_run(way: Call, tmp_path: Path) -> None:
    """All other keywords are the function's, and `kwargs` has those that are named like an option."""

    def where(name: Any, *, cwd: Any, text: Any) -> Any:
        import os

        return [name, os.getcwd(), os.environ["COLOUR"], cwd, text]

    found = way(where, "x", cwd=tmp_path, extra_env={"COLOUR": "red"}, text="mine", kwargs={"cwd": "own"})
    assert found == ["x", str(tmp_path), "red", "own", "mine"]


def test_an_option_that_is_a_parameter_too_is_refused(way: Call) -> None:
    """Nobody has to guess whose timeout it is; an empty `kwargs` says that the option is meant."""
    ran: list[str] = []

    def fetch(url: Any, timeout: Any = 5) -> Any:
        print("called")
        return timeout

    with pytest.raises(CallError) as caught:
        way(fetch, "x", timeout=60, stdout_loglevel=ran.append)
    assert "timeout= is an option of the call, and a parameter of" in str(caught.value)
    assert "kwargs={'timeout': ...}" in str(caught.value)
    assert ran == []
    assert way(fetch, "x", timeout=60, kwargs={}) == 5
    assert way(fetch, "x", timeout=60, kwargs={"timeout": 7}) == 7


def test_an_option_that_is_a_parameter_of_a_class_or_an_object_is_refused(way: Call, tmp_path: Path) -> None:
    """They have no code of their own; a class without a known signature is called."""
    tmp_path.joinpath("clients.py").write_text(
        "import dataclasses, functools\n"
        "@dataclasses.dataclass\nclass Client:\n    timeout: int = 5\n"
        "class Fetch:\n    def __call__(self, *, timeout=5): return timeout\n"
        "fetch = Fetch()\n"
        "partial = functools.partial(fetch)\n"
        "class Unknown(type):\n    __signature__ = 'none'\n"
        "class Odd(metaclass=Unknown): pass\n"
    )
    there: Any = {"extra_env": {"PYTHONPATH": str(tmp_path)}}
    for name in ("Client", "fetch", "partial"):
        with pytest.raises(CallError, match=f"timeout= is an option of the call, and a parameter of clients:{name} too"):
            way(f"clients:{name}", timeout=60, **there)
    assert way("clients:fetch", timeout=60, kwargs={"timeout": 7}, **there) == 7
    with pytest.raises(CallError, match=r"value is a clients\.Odd"):
        way("clients:Odd", timeout=60, **there)


def test_wrong_arguments_of_the_call_are_refused(venv: VenvRunner) -> None:
    """Before anything starts, with what to do instead."""
    wrong: Any
    for wrong, kind, text in [
        (
            ("json.dumps",),
            ValueError,
            "'json.dumps' is not the name of a function, which is 'module:function'. Use 'json:dumps'.",
        ),
        (("os; import x:f",), ValueError, "Use for instance 'json:dumps'"),
        ((5,), TypeError, "function must be 'module:function' or a function, not int"),
        ((math.sqrt,), TypeError, "Pass its name: 'math:sqrt'"),
        ((Path,), TypeError, "Pass its name: 'pathlib:Path'"),
    ]:
        with pytest.raises(kind) as caught:
            venv.call(*wrong)
        assert text in str(caught.value)
    keywords: Any
    for keywords, text in [
        ({"x": 1, "kwargs": {"x": 2}}, "x= is given twice"),
        ({"kwargs": [1]}, "kwargs must be a mapping"),
        ({"kwargs": {1: 2}}, "kwargs has the key 1"),
        ({"check": False}, "check= can't be used here"),
        ({"pickle": 1}, "pickle must be True or False"),
    ]:
        with pytest.raises(TypeError) as refused:
            venv.call(same, **keywords)
        assert text in str(refused.value)


def test_a_keyword_that_became_an_option_is_explained(venv: VenvRunner) -> None:
    """The error is that of the option; a note says how the function gets it."""
    with pytest.raises(TypeError, match="input must be a str") as caught:
        venv.call(same, input=5)
    assert caught.value.__notes__ == ["input= is an option of the call. Pass the function its own with kwargs={'input': ...}."]


@POSIX
def test_a_user_that_does_not_exist_is_explained_too(venv: VenvRunner) -> None:
    """A greeting of a user is not to run as that user; what a callback raises has nothing to do with it."""
    with pytest.raises(KeyError, match="nobody-by-this-name") as caught:
        venv.call(same, user="nobody-by-this-name")
    assert caught.value.__notes__ == ["user= is an option of the call. Pass the function its own with kwargs={'user': ...}."]

    def fail(line: str) -> None:
        raise LookupError("no timeout")  # noqa: EM101, TRY003  in one line

    with pytest.raises(LookupError, match="no timeout") as raised:
        venv.call("builtins:print", "x", stdout_loglevel=fail, timeout=60)
    assert not hasattr(raised.value, "__notes__")


def test_an_exception_comes_back_with_its_traceback(way: Call) -> None:
    """As a `CommandError`, with the lines of the file in which the function stands, and none of the library's."""

    def outer() -> Any:
        def inner() -> Any:
            raise LookupError("no such thing\nand more")  # noqa: EM101, TRY003  in one line

        inner()

    line = outer.__code__.co_firstlineno + 2
    with pytest.raises(CallError) as caught:
        way(outer)
    error = caught.value
    assert isinstance(error, CommandError)
    assert str(error) == f"{__name__}:outer raised LookupError: no such thing."
    assert (error.function, error.remote_type) == (f"{__name__}:outer", "LookupError")
    assert error.remote_message == "no such thing\nand more"
    (note,) = error.__notes__
    assert f'File "{__file__}", line {line}, in inner\n    raise LookupError("no such thing' in note
    assert "venvrunner" not in error.remote_traceback.replace(__file__, "")


def test_secrets_are_masked_in_the_error(venv: VenvRunner) -> None:
    """In text and notes; the attributes are true."""

    def fail(token: Any) -> Any:
        raise ValueError(["refused", token])

    with pytest.raises(CallError) as caught:
        venv.call(fail, "hunter2", secrets=iter(["hunter2"]))
    assert "hunter2" not in "".join([str(caught.value), repr(caught.value), *caught.value.__notes__])
    assert caught.value.remote_message == "['refused', 'hunter2']"


def test_with_pickle_the_exception_itself_comes_back(venv: VenvRunner) -> None:
    """As the cause, unless it does not pickle."""

    def fail(which: Any) -> Any:
        class OwnError(Exception):
            pass

        raise {"plain": KeyError("x"), "own": OwnError("x")}[which]

    with pytest.raises(CallError) as caught:
        venv.call(fail, "plain", pickle=True)
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(CallError, match=r"raised fail\.<locals>\.OwnError: x") as own:
        venv.call(fail, "own", pickle=True)
    assert own.value.__cause__ is None


def test_without_pickle_nothing_is_unpickled(venv: VenvRunner, tmp_path: Path) -> None:
    """Even if the environment forges an outcome that says so."""

    def forge(marker: Any) -> Any:
        import os

        class Bomb:
            def __reduce__(self) -> Any:
                return open, (marker, "w")

        import pickle

        data = pickle.dumps(Bomb())
        for number in range(3, 64):
            try:
                link = os.readlink(f"/proc/self/fd/{number}")
            except OSError:
                continue
            if "venvrunner" in link:
                os.pwrite(number, data, 64)
                os.pwrite(number, b"venvrunner-call pickle %d" % len(data), 0)
                os._exit(0)

    if sys.platform == "linux":
        with pytest.raises(CallError, match="returned no value"):
            venv.call(forge, str(tmp_path / "marker"))
        assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("how", "code", "text"),
    [
        ("os._exit(0)", 0, "returned no value. Its process returned exit status 0."),
        ("os._exit(7)", 7, "returned no value. Its process returned non-zero exit status 7."),
        ("sys.exit(3)", 3, "raised SystemExit: 3."),
        ("sys.exit()", 0, "raised SystemExit."),
        ("exit_with_text", 1, "raised SystemExit: bye."),
        ("raise KeyboardInterrupt", 1, "raised KeyboardInterrupt."),
        pytest.param(
            "os.kill(os.getpid(), 9)", -9, "returned no value. Its process died with <Signals.SIGKILL: 9>.", marks=POSIX
        ),
        pytest.param(
            "os.closerange(3, 256)", 1, "returned no value. Its process returned non-zero exit status 1.", marks=POSIX
        ),
        (
            "atexit.register(os._exit, 4)",
            4,
            "returned a value, but its process failed after that. Its process returned non-zero",
        ),
    ],
)
def test_every_other_end_is_an_error(how: str, code: int, text: str, way: Call) -> None:
    """No value is made up."""

    def end(how: Any) -> Any:
        import atexit
        import os
        import sys

        if how == "exit_with_text":
            sys.exit("bye")
        exec(how, {"os": os, "sys": sys, "atexit": atexit})

    with pytest.raises(CallError) as caught:
        way(end, how)
    assert str(caught.value).startswith(f"{__name__}:end {text}")
    assert caught.value.returncode == code


@POSIX
def test_the_outcome_is_not_written_to_another_file(venv: VenvRunner, tmp_path: Path) -> None:
    """A function that closes all descriptors may open files with the same numbers."""

    def daemonize(path: Any) -> Any:
        import os

        os.closerange(3, 256)
        for _number in range(64):
            os.open(path, os.O_CREAT | os.O_RDWR)

    with pytest.raises(CallError, match="returned no value") as caught:
        venv.call(daemonize, str(tmp_path / "own"))
    assert "the function has closed the descriptors of its process" in caught.value.stderr
    assert (tmp_path / "own").read_bytes() == b""


@POSIX
def test_a_fork_of_the_function_returns_nothing(venv: VenvRunner) -> None:
    """Neither a value nor an exception of it is taken for that of the function."""

    def fork(fails: Any) -> Any:
        import os

        pid = os.fork()
        if pid == 0:
            if fails:
                raise ValueError(pid)
            return "fork"
        os.waitpid(pid, 0)
        return "function"

    assert venv.call(fork, fails=False) == "function"
    assert venv.call(fork, fails=True) == "function"


@POSIX
def test_a_daemon_of_the_function_does_not_hold_the_call(venv: VenvRunner) -> None:
    """It has the pipes, and no descriptor of the call."""

    def start() -> Any:
        import os
        import subprocess
        import sys

        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False)
        names = os.listdir(f"/proc/{child.pid}/fd") if os.path.isdir("/proc") else []
        return [child.pid, [os.readlink(f"/proc/{child.pid}/fd/{name}") for name in names]]

    pid, links = venv.call(start, timeout=60)
    os.kill(pid, signal.SIGKILL)
    assert not [link for link in links if "memfd" in link]


def test_a_timeout_ends_the_whole_tree(way: Call) -> None:
    """As of a command, with the output so far; the fixture finds what is left."""

    def hang() -> Any:
        import subprocess
        import sys
        import time

        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print("started")
        time.sleep(600)

    with pytest.raises(CommandTimeoutError) as caught:
        way(hang, timeout=2)
    assert f"{__name__}:hang" in str(caught.value)


def test_a_coroutine_function_is_run(way: Call) -> None:
    """To its end, on a loop of its own."""

    async def later(text: Any) -> Any:
        import asyncio

        await asyncio.sleep(0)
        return text.upper()

    assert way(later, "x") == "X"


def test_files_in_the_working_directory_shadow_nothing(way: Call, tmp_path: Path) -> None:
    """Nor are they found, unless `PYTHONPATH` says so."""
    for name in ("_json", "json", "posixpath", "pickle", "asyncio"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(name)\n")
    own = tmp_path / "own"
    own.mkdir()
    (own / "own.py").write_text("def f(): return 'own'\n")
    assert way("posixpath:join", "a", "b", cwd=tmp_path) == "a/b"
    with pytest.raises(CallError, match=r"the environment has no module 'own'.*; installed are pip.*PYTHONPATH"):
        way("own:f", cwd=own)
    assert way("own:f", cwd=tmp_path, extra_env={"PYTHONPATH": str(own)}) == "own"


def test_what_does_not_exist_is_named(venv: VenvRunner, tmp_path: Path) -> None:
    """With what there is instead."""
    package = tmp_path / "tools"
    package.mkdir()
    (package / "__init__.py").write_text("VERSION = 1\nclass Kit:\n    def use(self): pass\n")
    (package / "hammer.py").write_text("def hit(): pass\n")
    (package / "broken.py").write_text("import missing_one\n")
    (package / "worse.py").write_text("1 / 0\n")
    for name, text in [
        (
            "tools.hamer:hit",
            "the package 'tools' has no module 'hamer'. Did you mean 'hammer'? Its modules are broken, hammer, worse.",
        ),
        ("tools.hammer:hitt", "module 'tools.hammer' has no 'hitt'. Did you mean 'hit'? It has hit."),
        ("tools:Kit.us", "has no 'us'. Did you mean 'use'? It has use."),
        ("tools:VERSION", "tools:VERSION is an int, not a function."),
        ("tools.broken:x", "importing tools.broken raised ModuleNotFoundError: No module named 'missing_one'."),
        ("tools.worse:x", "importing tools.worse raised ZeroDivisionError: division by zero."),
        ("tools.hammer.hit:x", "'tools.hammer' is a module, not a package. Is it 'tools.hammer:hit'?"),
    ]:
        with pytest.raises(CallError) as caught:
            venv.call(name, extra_env={"PYTHONPATH": str(tmp_path)})
        assert text in str(caught.value), name


def test_many_calls_at_once_have_their_own_values(venv: VenvRunner) -> None:
    """From threads, and from tasks of one loop."""
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda number: venv.call(same, number), range(8))) == list(range(8))

    async def main() -> list[Any]:
        return await asyncio.gather(*(venv.async_call(same, number) for number in range(8)))

    assert asyncio.run(main()) == list(range(8))


def test_a_cancelled_call_leaves_nothing(venv: VenvRunner) -> None:
    """Neither a process nor a descriptor."""

    def hang() -> Any:
        import time

        print("started")
        time.sleep(600)

    async def main() -> None:
        started = asyncio.Event()
        task = asyncio.ensure_future(venv.async_call(hang, stdout_loglevel=lambda line: started.set()))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_call_on_other_loops(uvloop_opened: None, venv: VenvRunner) -> None:
    """uvloop and trio."""
    uvloop = pytest.importorskip("uvloop")
    assert uvloop.run(venv.async_call(same, 1)) == 1
    assert pytest.importorskip("trio").run(venv.async_call, "posixpath:join", "a", "b") == "a/b"


def test_a_contained_call_returns_its_value(venv: VenvRunner) -> None:
    """The file reaches the function through the process in between."""
    if sys.platform == "linux":
        assert venv.call(same, [1], contain=True) == [1]


@POSIX
def test_other_descriptors_of_the_caller_are_inherited_too(venv: VenvRunner) -> None:
    """With `pass_fds`, and with `close_fds=False`."""

    def read(fd: Any) -> Any:
        import os

        return os.pread(fd, 100, 0).decode()

    with open(__file__, "rb") as file:
        os.set_inheritable(file.fileno(), True)
        assert venv.call(read, file.fileno(), pass_fds=(file.fileno(),)).startswith('"""Functions')
        assert venv.call(read, file.fileno(), close_fds=False).startswith('"""Functions')


def test_no_home_and_no_temporary_directory_are_needed(venv: VenvRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is in memory where the system can do that."""
    if hasattr(os, "memfd_create"):
        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.setenv("TMPDIR", "/nowhere")
        monkeypatch.setattr("tempfile.tempdir", "/nowhere")
        assert venv.call(same, 1, cwd="/") == 1


def test_a_module_of_the_environment_is_called(venv: VenvRunner, tmp_path: Path) -> None:
    """What is installed there, and not here."""
    fork = venv.fork("fork", tmp_path)
    (packages(fork) / "only_there.py").write_text("def f(x):\n    return x + 1\n")
    assert fork.call("only_there:f", 1) == 2
    fork.delete()
