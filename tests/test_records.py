"""What a record of the standard library's logging knows besides its text, and what the record of an adapter has."""

import inspect
import logging
from pathlib import Path
from typing import Any

import pytest

import conftest
from conftest import Caller
from projects import make_wheel
from venvrunner import VenvRunner, subprocess_util

BOTH = "import sys; print('out', *sys.argv[1:]); print('err', file=sys.stderr)"


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)


def test_a_record_knows_its_stream_and_its_command(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """A handler can file each line by them; the command is masked."""
    result = call(call.code(BOTH, "https://me:hunter2@host/"), None, "info", "error")
    records = [record for record in caplog.records if record.name == "venvrunner"]
    shown = [*result.args[:-1], "https://****@host/"]
    assert sorted((record.levelname, vars(record)["stream"]) for record in records[1:]) == [
        ("ERROR", "stderr"),
        ("INFO", "stdout"),
    ]
    assert [list(vars(record)["command"]) for record in records] == [shown] * 3
    assert vars(records[0])["stream"] is None
    assert "hunter2" not in repr([vars(record) for record in records])


def test_a_record_names_the_line_that_ran_the_command(call: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """Not a line of this package: that is where a reader wants to look."""
    call(call.code(BOTH), None, "info", "info")
    places = {(record.pathname, record.funcName) for record in caplog.records if record.name == "venvrunner"}
    assert len(places) == 1
    ((path, function),) = places
    assert Path(path) == Path(inspect.getfile(conftest))
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
    first, second = capsys.readouterr().err.splitlines()
    assert first == "None|test_records.py|Running subprocess: ['echo', '100% {done}']"
    assert second == "stdout|test_records.py|stdout: 100% {done}"


def test_an_adapter_adds_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """Whether it keeps those of a record besides is its own choice: `merge_extra`, from Python 3.13 on, or a method."""

    class Adapter(logging.LoggerAdapter[logging.Logger]):
        def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
            return f"[job 7] {msg}", {**kwargs, "extra": {**kwargs["extra"], "job": 7}}

    subprocess_util.log_run(["echo", "done"], Adapter(logging.getLogger("mine")), "info")
    record = caplog.records[-1]
    assert (record.getMessage(), vars(record)["job"], vars(record)["stream"]) == ("[job 7] stdout: done", 7, "stdout")
    assert record.pathname == __file__
    subprocess_util.log_run(["echo", "done"], logging.LoggerAdapter(logging.getLogger("mine"), {"job": 8}), "info")
    assert vars(caplog.records[-1])["job"] == 8
