"""What a record of the standard library's logging knows besides its text, and what the record of an adapter has."""

import asyncio
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog

from helpers.callers import Caller
from helpers.wheels import make_wheel
from venvrunner import FakeVenvRunner, VenvRunner, subprocess_util
from venvrunner._process.loggers import log_method

BOTH = "import sys; print('out', *sys.argv[1:]); print('err', file=sys.stderr)"
BOTH_SHELL = "echo out; echo err >&2"


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)


def test_a_record_knows_its_stream_and_its_command(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """A handler can file each line by them; the command is masked."""
    result = call(call.code(BOTH, "https://me:hunter2@host/"), None, "info", "error")
    records = [record for record in caplog.records if record.name == "venvrunner"]
    first, *lines, last = records
    shown = [*result.args[:-1], "https://****@host/"]
    assert sorted((record.levelname, vars(record)["stream"]) for record in lines) == [
        ("ERROR", "stderr"),
        ("INFO", "stdout"),
    ]
    assert [list(vars(record)["command"]) for record in records] == [shown] * 4
    assert vars(first)["stream"] is None
    assert vars(last)["stream"] is None
    assert "hunter2" not in repr([vars(record) for record in records])


def test_a_record_names_the_line_that_ran_the_command(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """Not a line of this package: that is where a reader wants to look."""
    call(call.code(BOTH), None, "info", "info")
    places = {(record.pathname, record.funcName) for record in caplog.records if record.name == "venvrunner"}
    assert len(places) == 1
    ((path, function),) = places
    assert Path(path) == Path(inspect.getfile(Caller))
    assert function in {"__call__", "main"}


def test_it_is_so_for_an_installation_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Through as many functions as that takes."""
    wheel = make_wheel(tmp_path, "pocket")
    with VenvRunner.temporary(with_pip=False, installer="uv") as venv:
        venv.install(str(wheel), no_index=True, stdout_loglevel="info")
    records = [record for record in caplog.records if record.name == "venvrunner"]
    assert records
    assert {Path(record.pathname) for record in records} == {Path(__file__)}


def test_a_format_may_have_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Every record about a command has both."""
    logger = logging.getLogger("mine")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(stream)s|%(filename)s|%(message)s"))
    logger.addHandler(handler)
    try:
        subprocess_util.log_run(["echo", "100% {done}"], logger, "info")
    finally:
        logger.removeHandler(handler)
    first, second, last = capsys.readouterr().err.splitlines()
    assert first == "None|test_log_records.py|Running subprocess: ['echo', '100% {done}']"
    assert second == "stdout|test_log_records.py|stdout: 100% {done}"
    assert last.startswith("None|test_log_records.py|exit code 0 after ")


def test_an_adapter_adds_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """Whether it keeps those of a record besides is its own choice: `merge_extra`, from Python 3.13 on, or a method."""

    class Adapter(logging.LoggerAdapter[logging.Logger]):
        def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
            return f"[job 7] {msg}", {**kwargs, "extra": {**kwargs["extra"], "job": 7}}

    subprocess_util.log_run(["echo", "done"], Adapter(logging.getLogger("mine")), "info")
    record = caplog.records[-2]
    assert (record.getMessage(), vars(record)["job"], vars(record)["stream"]) == ("[job 7] stdout: done", 7, "stdout")
    assert record.pathname == __file__
    subprocess_util.log_run(["echo", "done"], logging.LoggerAdapter(logging.getLogger("mine"), {"job": 8}), "info")
    assert vars(caplog.records[-1])["job"] == 8


def test_a_coroutine_beside_it_does_not_hide_the_line(caplog: pytest.LogCaptureFixture) -> None:
    """The sync call runs an event loop for a coroutine; the other stream's lines come by way of that."""

    async def take(line: str) -> None: ...

    subprocess_util.log_run(["sh", "-c", BOTH_SHELL], None, take, "info")
    assert [(r.getMessage(), r.pathname, r.funcName) for r in caplog.records[1:-1] if r.name == "venvrunner"] == [
        ("stderr: err", __file__, "test_a_coroutine_beside_it_does_not_hide_the_line")
    ]


def test_a_task_of_its_own_names_the_line_that_runs_the_event_loop(caplog: pytest.LogCaptureFixture) -> None:
    """No code of the caller waits for it there: the nearest line that is not asyncio's."""

    async def main() -> None:
        await asyncio.gather(*(subprocess_util.async_log_run(["echo", "done"], None, "info") for _ in range(2)))

    asyncio.run(main())
    places = {(r.pathname, r.funcName) for r in caplog.records if r.name == "venvrunner"}
    assert places == {(__file__, "test_a_task_of_its_own_names_the_line_that_runs_the_event_loop")}


_LOGGING = """
async def log(wait=None):
    try:
        if wait is not None:
            await wait()
    finally:
        log_method(logger, "info")("from a task")
"""


def inside(logger: logging.Logger) -> Callable[[], Awaitable[None]]:
    """Return a coroutine function of a module of this package, which logs."""
    namespace: dict[str, Any] = {"__name__": "venvrunner.made_up", "log_method": log_method, "logger": logger}
    exec(_LOGGING, namespace)
    return namespace["log"]  # type: ignore[no-any-return]  # it was made a line above


async def in_a_task_of_asyncio(log: Callable[[], Awaitable[Any]]) -> None:
    await asyncio.gather(log())


async def in_a_task_of_anyio(log: Any) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(log)
        group.start_soon(log, anyio.sleep_forever)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()


def run_by_asyncio(log: Callable[[], Awaitable[Any]]) -> None:
    asyncio.run(in_a_task_of_asyncio(log))


def run_by_uvloop(log: Callable[[], Awaitable[Any]]) -> None:
    pytest.importorskip("uvloop").run(in_a_task_of_asyncio(log))


def run_by_anyio(log: Callable[[], Awaitable[Any]]) -> None:
    anyio.run(in_a_task_of_anyio, log)


def run_by_trio(log: Callable[[], Awaitable[Any]]) -> None:
    pytest.importorskip("trio")
    anyio.run(in_a_task_of_anyio, log, backend="trio")


@pytest.mark.usefixtures("uvloop_opened")
@pytest.mark.parametrize("run", [run_by_asyncio, run_by_uvloop, run_by_anyio, run_by_trio])
def test_no_event_loop_hides_the_callers_line(run: Callable[[Any], None], caplog: pytest.LogCaptureFixture) -> None:
    """The frames of each library that runs coroutines are passed over, also those that throw a cancel into them."""
    run(inside(logging.getLogger("mine")))
    assert {(r.pathname, r.funcName) for r in caplog.records if r.name == "mine"} == {(__file__, run.__name__)}


class Own(logging.Logger):
    """Methods as people write them, without the keywords that the standard library's have."""

    def notice(self, text: str) -> None:
        self.log(logging.WARNING, text)

    def info(self, msg: object, *args: object) -> None:  # type: ignore[override]  # that is what is tried
        super().warning(msg, *args)


class Old(logging.Logger):
    """As it was before Python 3.8."""

    def _log(self, level: int, msg: object, args: Any, exc_info: Any = None, extra: Any = None) -> None:  # type: ignore[override]  # that is what is tried
        super()._log(level, msg, args, exc_info, extra)


class Narrow(logging.LoggerAdapter[logging.Logger]):
    """An adapter with a `log` of its own."""

    def log(self, level: int, msg: object, *args: object) -> None:  # type: ignore[override]  # that is what is tried
        self.logger.log(level, msg, *args)


@pytest.mark.parametrize(
    ("wrap", "level"),
    [
        (Own, "notice"),
        (Own, "info"),
        (Old, "warning"),
        (lambda name: logging.LoggerAdapter(Old(name)), "error"),
        (lambda name: Narrow(logging.Logger(name)), "warning"),  # noqa: LOG001  no other test finds it
    ],
)
def test_methods_of_ones_own_need_no_keywords(
    wrap: Callable[[str], Any], level: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They get the text, and log it at whatever level they like; the records just know no more than that."""
    monkeypatch.setitem(logging._nameToLevel, "NOTICE", 25)  # what addLevelName does for good
    logger = wrap("of.its.own")
    base = getattr(logger, "logger", logger)
    base.addHandler(caplog.handler)
    base.setLevel(logging.WARNING)
    subprocess_util.log_run(["echo", "100% {done}"], logger, level)
    assert [record.getMessage() for record in caplog.records] == ["stdout: 100% {done}"]


class Levels(logging.Logger):
    """Levels of one's own, which take what those of the standard library take."""

    def notice(self, msg: object, *args: object, **kwargs: Any) -> None:
        if self.isEnabledFor(25):
            self._log(25, msg, args, **kwargs)

    def counted(self, msg: object, *args: object, stacklevel: int = 1, **kwargs: Any) -> None:
        self.log(25, msg, *args, stacklevel=stacklevel + 1, **kwargs)


@pytest.mark.parametrize("level", ["notice", "counted"])
def test_a_level_of_ones_own_names_the_line_that_ran_the_command(
    level: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its method counts itself among the frames or not."""
    monkeypatch.setitem(logging._nameToLevel, level.upper(), 25)  # what addLevelName does for good
    logger = Levels("of.its.own")
    logger.addHandler(caplog.handler)
    subprocess_util.log_run(["echo", "done"], logger, level)
    FakeVenvRunner().log_run(["echo", "done"], logger, level)
    assert {record.pathname for record in caplog.records} == {__file__}
    assert vars(caplog.records[-2])["stream"] == "stdout"


def test_an_adapter_of_another_librarys_logger_gets_the_text_alone() -> None:
    """That library takes every keyword for a part of the event."""
    events: list[Mapping[str, Any]] = []

    def take(_logger: object, _name: str, event: Any) -> Any:
        events.append(dict(event))
        raise structlog.DropEvent

    logger: Any = structlog.wrap_logger(logging.getLogger("mine"), [take], wrapper_class=structlog.stdlib.BoundLogger)
    subprocess_util.log_run(["echo", "done"], logging.LoggerAdapter(logger), "info")
    assert [event["event"] for event in events[:-1]] == ["Running subprocess: ['echo', 'done']", "stdout: done"]
    assert not any(event.keys() & {"stacklevel", "stream", "command"} for event in events)


def test_a_level_counts_when_the_line_comes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that is switched on while the command runs is on from then."""
    logger = logging.getLogger("mine")
    logger.setLevel(logging.WARNING)

    def switch(line: str) -> None:
        logger.setLevel(logging.INFO)
        (tmp_path / line).touch()

    source = "echo on; until test -e on; do sleep 0.01; done; echo seen >&2"
    try:
        subprocess_util.log_run(["sh", "-c", source], logger, switch, "info", cwd=tmp_path)
    finally:
        logger.setLevel(logging.NOTSET)
    assert [record.getMessage() for record in caplog.records if record.name == "mine"] == ["stderr: seen"]


def test_a_record_is_what_the_method_of_the_logger_makes(caplog: pytest.LogCaptureFixture) -> None:
    """With the same attributes, of the same class; only when and where it was made differs."""
    logger = logging.getLogger("mine")
    extra = {"stream": "stdout", "command": ["x"]}
    log_method(logger, "warning", **extra)("text")
    logger.warning("text", extra=extra)
    ours, theirs = caplog.records
    others = {"created", "msecs", "relativeCreated", "lineno"}
    assert type(ours) is type(theirs)
    assert {name: value for name, value in vars(ours).items() if name not in others} == {
        name: value for name, value in vars(theirs).items() if name not in others
    }
    assert theirs.lineno - ours.lineno == 1


def test_a_line_of_output_has_the_same_location_as_the_command(caplog: pytest.LogCaptureFixture) -> None:
    """The place is looked up once for each call, however many lines there are."""
    subprocess_util.log_run(["sh", "-c", f"{BOTH_SHELL}\n" * 50], logging.getLogger("mine"), "info", "info")
    assert len({(r.pathname, r.lineno, r.funcName) for r in caplog.records if r.name == "mine"}) == 1


@pytest.fixture
def mine() -> logging.Logger:
    """A logger that no other test finds, so that a test may change it."""
    return logging.Logger("of.its.own")  # noqa: LOG001  on purpose


def said(logger: logging.Logger, handler: logging.Handler, level: str = "info") -> list[logging.LogRecord]:
    """Return the records of one line."""
    records: list[logging.LogRecord] = []
    vars(handler)["emit"] = records.append
    logger.addHandler(handler)
    log_method(logger, level, stream="stdout")("a {} %s")
    return records


def test_filters_and_switches_hold(mine: logging.Logger) -> None:
    """Of the logger, of its handler, and of the whole module."""
    handler = logging.Handler()
    assert len(said(mine, handler)) == 1

    def rewrite(record: logging.LogRecord) -> bool:
        record.msg = f"[{vars(record)['stream']}]"
        return True

    mine.addFilter(rewrite)
    assert [record.getMessage() for record in said(mine, handler)] == ["[stdout]"]
    mine.filters[:] = [lambda record: False]
    assert not said(mine, handler)
    mine.filters.clear()
    handler.addFilter(lambda record: False)
    assert not said(mine, handler)
    handler.filters.clear()
    mine.disabled = True
    assert not said(mine, handler)
    mine.disabled = False
    known = logging.getLogger("mine")
    logging.disable(logging.INFO)
    try:
        assert not said(known, handler)
        assert len(said(known, handler, "warning")) == 1
    finally:
        logging.disable(logging.NOTSET)
        known.removeHandler(handler)


def test_a_logger_may_look_for_the_caller_itself(mine: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """An own `findCaller` is asked for each line."""
    monkeypatch.setattr(mine, "findCaller", lambda *args, **kwargs: ("there.py", 7, "function", None))
    (record,) = said(mine, logging.Handler())
    assert (record.pathname, record.lineno, record.funcName) == ("there.py", 7, "function")


@pytest.mark.parametrize("name", ["info", "_log", "makeRecord", "handle"])
def test_a_patched_logger_is_called(name: str, mine: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What watches a program wraps a method of all loggers, and gives the wrapper the name and the module of the method."""
    called: list[str] = []
    method = getattr(logging.Logger, name)

    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        called.append(name)
        return method(*args, **kwargs)

    monkeypatch.setattr(logging.Logger, name, wrapper)
    (record,) = said(mine, logging.Handler())
    assert called == [name]
    assert record.getMessage() == "a {} %s"


def test_no_caller_is_looked_for_where_that_is_switched_off(mine: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented way to make logging faster."""
    monkeypatch.setattr(logging, "_srcfile", None)
    (record,) = said(mine, logging.Handler())
    assert (record.pathname, record.lineno, record.funcName) == ("(unknown file)", 0, "(unknown function)")
