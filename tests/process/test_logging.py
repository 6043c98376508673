"""What a logger gets, whichever library it is of."""

import ast
import io
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import loguru
import pytest
import structlog
import twiggy  # type: ignore[import-untyped]  # it has no types

from helpers.callers import Caller

Logged = list[tuple[str, str]]
"""Levels and texts."""

NASTY = "  a {} {0} {x} {x!r:>9} }{ %s %d %(x)s %% <red>b</red> \\1 ${c}\t"
"""A line that every way to format would change or trip over."""
BOTH = f"import sys; print({NASTY!r}); print('err ' + {NASTY!r}, file=sys.stderr)"


END = re.compile(r"exit code \d+ after \d+\.\d\d s")
"""The last text of a command that ends by itself."""


def without_end(logged: Logged) -> Logged:
    """Return what was logged before the end of the command, which comes last."""
    *before, (level, text) = logged
    assert level == "debug"
    assert END.fullmatch(text)
    return before


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Callable[[], Logged]:
    """Return what the default logger got before the end of the command, all levels enabled."""
    caplog.set_level(logging.DEBUG, "venvrunner")
    return lambda: without_end([(r.levelname.lower(), r.getMessage()) for r in caplog.records if r.name == "venvrunner"])


def command_line(result: Any) -> tuple[str, str]:
    return "debug", f"Running subprocess: {result.args!r}"


def test_lines_are_logged_with_the_name_of_their_stream(call: Caller, records: Callable[[], Logged]) -> None:
    """Exactly `stdout: …` and `stderr: …`, at the level of that name; the command comes first, at debug."""
    result = call.run("import sys; print('out'); print(); print('err', file=sys.stderr)", None, "info", "error")
    logged = records()
    assert logged[0] == command_line(result)
    assert [record for record in logged[1:] if record[0] == "info"] == [("info", "stdout: out"), ("info", "stdout: ")]
    assert [record for record in logged[1:] if record[0] == "error"] == [("error", "stderr: err")]
    assert len(logged) == 4


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_a_level_may_have_any_name_of_the_logger(call: Caller, records: Callable[[], Logged], level: str) -> None:
    """The name is that of the logger's method; the command line stays at debug."""
    result = call.run("print('x')", None, level)
    assert records() == [command_line(result), (level, "stdout: x")]


def test_none_means_that_the_lines_are_not_logged(call: Caller, records: Callable[[], Logged]) -> None:
    """The command line is still logged, and the texts are still returned."""
    result = call.run(BOTH, None, None, None)
    assert records() == [command_line(result)]
    assert (result.stdout, result.stderr) == (f"{NASTY}\n", f"err {NASTY}\n")


def test_by_default_only_standard_error_is_logged_at_debug(call: Caller, records: Callable[[], Logged]) -> None:
    """The defaults of the established signature."""
    result = call.run(BOTH)
    assert records() == [command_line(result), ("debug", f"stderr: err {NASTY}")]


def test_one_stream_may_have_a_name_and_the_other_a_coroutine(call: Caller, records: Callable[[], Logged]) -> None:
    """The two are independent; the callable gets the bare line."""
    lines = []

    async def take(line: str) -> None:
        lines.append(line)

    result = call.run(BOTH, None, "info", take)
    assert records() == [command_line(result), ("info", f"stdout: {NASTY}")]
    assert lines == [f"err {NASTY}"]


def test_the_parameters_have_the_established_order(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """Arguments, logger, level of stdout, level of stderr, check: all five by position; the default logger gets nothing."""
    logger = logging.getLogger("the.callers.own")
    caplog.set_level(logging.DEBUG, "venvrunner")
    caplog.set_level(logging.DEBUG, logger.name)
    result = call(call.code(BOTH + "; sys.exit(3)"), logger, "info", "error", False)
    assert result.returncode == 3
    assert {record.name for record in caplog.records} == {logger.name}
    assert {(record.levelname, record.getMessage()) for record in caplog.records[1:-1]} == {
        ("INFO", f"stdout: {NASTY}"),
        ("ERROR", f"stderr: err {NASTY}"),
    }


def test_the_command_is_logged_first_and_its_end_last(call: Caller) -> None:
    """Whichever stream speaks first."""
    for stream in ("stdout", "stderr"):
        logger = MagicMock()
        call.run(f"import sys; print('x', file=sys.{stream})", logger, "debug", "debug")
        first, second, last = (sent.args[0] for sent in logger.debug.call_args_list)
        assert first.startswith("Running subprocess: ")
        assert second == f"{stream}: x"
        assert END.fullmatch(last)


@pytest.mark.parametrize(("level", "seen"), [("error", "stderr: oops\n"), ("warning", "stderr: oops\n"), ("debug", "")])
def test_a_user_without_logging_sees_errors_only(level: str, seen: str) -> None:
    """A program that has not set up logging: Python shows what is at least a warning, on standard error."""
    source = (
        "import sys; from venvrunner.subprocess_util import log_run\n"
        "log_run([sys.executable, '-c', 'import sys; print(\"oops\", file=sys.stderr)'], stderr_loglevel=sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", source, level], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", seen)


class Sample:
    """A logger of some library, and what it wrote."""

    def __init__(self, logger: object, logged: Callable[[], Logged]) -> None:
        self.logger = logger
        self.logged = logged


def split(text: str) -> Logged:
    return [(level.lower(), line) for level, _, line in (line.partition("|") for line in text.splitlines())]


def stdlib_logger(formatter: logging.Formatter) -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.Logger("of.its.own", logging.DEBUG)  # noqa: LOG001  no other test finds it
    logger.addHandler(handler)
    return logger, stream


@contextmanager
def of_stdlib() -> Generator[Sample]:
    logger, stream = stdlib_logger(logging.Formatter("%(levelname)s|%(message)s"))
    yield Sample(logger, lambda: split(stream.getvalue()))


@contextmanager
def of_stdlib_brace_handler() -> Generator[Sample]:
    logger, stream = stdlib_logger(logging.Formatter("{levelname}|{message}", style="{"))
    yield Sample(logging.LoggerAdapter(logger, {"extra": "x"}), lambda: split(stream.getvalue()))


@contextmanager
def of_structlog() -> Generator[Sample]:
    stream = io.StringIO()
    processors: list[Any] = [structlog.processors.add_log_level, lambda _l, _m, event: f"{event['level']}|{event['event']}"]
    yield Sample(structlog.wrap_logger(structlog.PrintLogger(stream), processors), lambda: split(stream.getvalue()))


@contextmanager
def of_structlog_over_stdlib() -> Generator[Sample]:
    logger, stream = stdlib_logger(logging.Formatter("%(levelname)s|%(message)s"))
    processors: list[Any] = [structlog.stdlib.PositionalArgumentsFormatter(), lambda _logger, _name, event: event["event"]]
    bound = structlog.wrap_logger(logger, processors, wrapper_class=structlog.stdlib.BoundLogger)
    yield Sample(bound, lambda: split(stream.getvalue()))


@contextmanager
def of_loguru() -> Generator[Sample]:
    texts: list[str] = []
    number = loguru.logger.add(lambda message: texts.append(str(message)), format="{level}|{message}", level="DEBUG")
    only_this = loguru.logger.bind(of="venvrunner")
    try:
        yield Sample(only_this, lambda: split("".join(texts)))
    finally:
        loguru.logger.remove(number)


def twiggy_output() -> Any:
    return twiggy.outputs.ListOutput(format=lambda message: (str(message.level).lower(), message.text), close_atexit=False)


@contextmanager
def of_twiggy() -> Generator[Sample]:
    output = twiggy_output()
    twiggy.emitters["venvrunner"] = twiggy.filters.Emitter(twiggy.levels.DEBUG, None, output)
    try:
        yield Sample(twiggy.log.name("of.its.own"), lambda: list(output.messages))
    finally:
        del twiggy.emitters["venvrunner"]


@contextmanager
def of_a_twiggy_subclass() -> Generator[Sample]:
    class Logger(twiggy.logger.InternalLogger):  # type: ignore[misc]  # its base has no type
        """A caller's own."""

    output = twiggy_output()
    yield Sample(Logger(output=output), lambda: list(output.messages))


SAMPLES: list[Callable[[], AbstractContextManager[Sample]]] = [
    of_stdlib,
    of_stdlib_brace_handler,
    of_structlog,
    of_structlog_over_stdlib,
    of_loguru,
    of_twiggy,
    of_a_twiggy_subclass,
]


@pytest.fixture(params=SAMPLES, ids=lambda make: make.__name__.removeprefix("of_"))
def sample(request: pytest.FixtureRequest) -> Iterator[Sample]:
    """Real loggers of each library in turn."""
    with request.param() as sample:
        yield sample


def test_braces_and_percent_signs_reach_every_logger_unchanged(call: Caller, sample: Sample) -> None:
    """In the arguments and in the output: a text is never taken for a format."""
    result = call(call.code(BOTH, NASTY), sample.logger, "info", "error")
    logged = without_end(sample.logged())
    assert logged[0] == command_line(result)
    assert ast.literal_eval(logged[0][1].removeprefix("Running subprocess: ")) == result.args
    assert sorted(logged[1:]) == [("error", f"stderr: err {NASTY}"), ("info", f"stdout: {NASTY}")]


@pytest.mark.parametrize(
    ("make", "level"),
    [(of_twiggy, "notice"), (of_loguru, "success"), (of_structlog, "msg")],
    ids=["twiggy", "loguru", "structlog"],
)
def test_a_library_may_have_levels_of_its_own(
    drive: Caller, make: Callable[[], AbstractContextManager[Sample]], level: str
) -> None:
    """What the logger has as a method is a level."""
    with make() as sample:
        drive(["sh", "-c", 'printf "%s" "$1"', "sh", NASTY], sample.logger, level)
        assert sample.logged()[-2] == ("info" if level == "msg" else level, f"stdout: {NASTY}")


class Duck:
    """Answers to every question."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: self.calls.append((name, *args))


def test_an_object_with_every_attribute_is_a_logger(call: Caller) -> None:
    """Mocks first of all: they get the finished text as their one argument, equal to a plain string."""
    duck, mock, spec = Duck(), MagicMock(), MagicMock(spec=twiggy.log)
    mock.__module__ = spec.__module__ = "twiggy.logger"
    for logger in (duck, mock, spec):
        result = call(call.code("print('{0}')", "{1}"), logger, "info")
    texts = [("debug", command_line(result)[1]), ("info", "stdout: {0}")]
    assert duck.calls[:-1] == texts
    for logger in (mock, spec):
        assert [(sent[0], *sent.args) for sent in logger.mock_calls[:-1]] == texts
        assert not any(sent.kwargs for sent in logger.mock_calls)


def test_a_logger_needs_no_base_class(call: Caller) -> None:
    """A list's `append` under two names is a logger."""
    lines: list[str] = []
    logger = SimpleNamespace(debug=lines.append, info=lines.append)
    result = call.run("print('x')", logger, "info")
    assert lines[:-1] == [command_line(result)[1], "stdout: x"]


@pytest.mark.parametrize("number", [logging.DEBUG, logging.INFO, logging.WARNING, logging.CRITICAL])
def test_a_level_may_be_its_number(call: Caller, caplog: pytest.LogCaptureFixture, number: int) -> None:
    """As in every call of the standard library."""
    caplog.set_level(logging.DEBUG)
    call(call.code("print('line')"), None, number)
    assert [record.levelno for record in caplog.records if record.getMessage() == "stdout: line"] == [number]
