"""Runners that break one promise each, derived from any class of runners."""

import asyncio
import inspect
import logging
import os
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from venvrunner import CommandStoppedError, subprocess_util

Derive = Callable[[type[Any]], type[Any]]
"""Derives a class from another one."""


def changed(**methods: Any) -> Derive:
    """Return what derives a class with other methods."""
    return lambda cls: derived(cls, **methods)


def derived(cls: type[Any], **methods: Any) -> type[Any]:
    """Return a subclass."""
    return type(f"Broken{cls.__name__}", (cls,), methods)


def with_signature(function: Any, other: Any) -> Any:
    """Return a function that shows the signature of another one."""
    function.__signature__ = inspect.signature(other)
    return function


def both_ways(change: Callable[..., Any]) -> Derive:
    """Return what derives a class whose two ways to run a command are changed alike.

    Args:
        change: gets what really runs the command, as a plain function, and the arguments.
    """

    def derive(cls: type[Any]) -> type[Any]:
        def log_run(
            self: Any,
            args: Any,
            logger: object = None,
            stdout_loglevel: Any = None,
            stderr_loglevel: Any = "debug",
            check: bool = True,
            *,
            errors: str = "strict",
            **options: Any,
        ) -> Any:
            run = partial(options.pop("_run", cls.log_run), self)
            return change(run, args, logger, stdout_loglevel, stderr_loglevel, check, errors=errors, **options)

        def run_async(*args: Any, **options: Any) -> Any:
            return asyncio.run(cls.async_log_run(*args, **options))

        async def async_log_run(*args: Any, **options: Any) -> Any:
            return await asyncio.to_thread(log_run, *args, **options, _run=run_async)

        return derived(cls, log_run=log_run, async_log_run=with_signature(async_log_run, log_run))

    return derive


def altered(**attributes: Any) -> Derive:
    """Return what derives a class whose results have other attributes."""

    def change(run: Any, *args: Any, **options: Any) -> Any:
        result = run(*args, **options)
        for name, value in attributes.items():
            setattr(result, name, value(getattr(result, name)))
        return result

    return both_ways(change)


def without(*names: str) -> Derive:
    """Return what derives a class that loses some keywords."""
    return both_ways(lambda run, *args, **options: run(*args, **{n: v for n, v in options.items() if n not in names}))


def with_levels(change: Callable[[Any], Any]) -> Derive:
    """Return what derives a class that changes where lines go."""
    return both_ways(
        lambda run, args, log, out, err, *more, **options: run(args, log, change(out), change(err), *more, **options)
    )


def by_another_exception(kind: type[BaseException], change: Callable[[Any], BaseException]) -> Derive:
    """Return what derives a class that raises something else."""

    def changed_run(run: Any, *args: Any, **options: Any) -> Any:
        try:
            return run(*args, **options)
        except kind as exc:
            raise change(exc) from None

    return both_ways(changed_run)


def each_line(change: Callable[[str], str]) -> Derive:
    """Return what derives a class that changes what callables get."""
    return with_levels(lambda level: (lambda line: level(change(line))) if callable(level) else level)


def not_awaited(level: Any) -> Any:
    def forget(line: str) -> None:
        result = level(line)
        if inspect.iscoroutine(result):
            result.close()

    return forget if callable(level) else level


def without_blank_lines(level: Any) -> Any:
    return (lambda line: level(line) if line else None) if callable(level) else level


def cmd_as_text(error: Any) -> Any:
    error.cmd = " ".join(error.cmd)
    return error


def without_notes(error: Any) -> Any:
    error.__notes__ = []
    return error


def swallowed(run: Any, *args: Any, **options: Any) -> Any:
    try:
        return run(*args, **options)
    except LookupError:
        return None


def direct(run: Any, args: Any, *more: Any, **options: Any) -> Any:
    """Run it by a name of the function that no patch changes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess_util, "log_run", LOG_RUN)
        return run(args, *more, **options)


LOG_RUN = subprocess_util.log_run


def no_loop(run: Any, *args: Any, **options: Any) -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run(*args, **options)
    msg = "can't be called from a running event loop"
    raise RuntimeError(msg)


def elsewhere(run: Any, *args: Any, **options: Any) -> Any:
    os.chdir(os.sep)
    return run(*args, **options)


def main_thread_only(run: Any, *args: Any, **options: Any) -> Any:
    assert threading.current_thread() is threading.main_thread()
    return run(*args, **options)


def busy(cls: type[Any]) -> type[Any]:
    """Return a class that can't run a command while it runs one."""
    running: list[object] = []

    def change(run: Any, *args: Any, **options: Any) -> Any:
        assert not running
        running.append(run)
        try:
            return run(*args, **options)
        finally:
            running.clear()

    return both_ways(change)(cls)


def each_in_a_loop(change: Callable[[str], str]) -> Derive:
    """Return what derives a class that changes what its iterators yield."""

    def derive(cls: type[Any]) -> type[Any]:
        def lines(self: Any, *args: Any, **options: Any) -> Any:
            found = cls.lines(self, *args, **options)

            def iterate() -> Any:
                for line in found:
                    yield change(line)

            return iterate()

        return derived(cls, lines=with_signature(lines, cls.lines))

    return derive


def without_a_value(cls: type[Any]) -> type[Any]:
    """Return a class whose iterators end without a result."""

    def lines(self: Any, *args: Any, **options: Any) -> Any:
        found = cls.lines(self, *args, **options)
        return (line for line in found)

    return derived(cls, lines=with_signature(lines, cls.lines))


def not_closable(cls: type[Any]) -> type[Any]:
    """Return a class whose iterators go on when they are closed."""

    def lines(self: Any, *args: Any, **options: Any) -> Any:
        found = cls.lines(self, *args, **options)
        try:
            yield from found
        except GeneratorExit:
            yield "one more"

    return derived(cls, lines=with_signature(lines, cls.lines))


def unchecked_loops(cls: type[Any]) -> type[Any]:
    """Return a class whose iterators end well, whatever the command did."""

    def lines(self: Any, *args: Any, **options: Any) -> Any:
        return cls.lines(self, *args, **{**options, "check": False})

    return derived(cls, lines=with_signature(lines, cls.lines))


def stopped_for_ever(cls: type[Any]) -> type[Any]:
    """Return a class whose runners run no command after a stop."""

    def stop(self: Any) -> None:
        self.__dict__["_is_stopped"] = True
        cls.stop(self)

    def check(self: Any) -> None:
        if self.__dict__.get("_is_stopped"):
            raise BrokenPipeError

    def change(run: Any, *args: Any, **options: Any) -> Any:
        check(run.args[0])
        return run(*args, **options)

    def lines(self: Any, *args: Any, **options: Any) -> Any:
        check(self)
        return cls.lines(self, *args, **options)

    return derived(both_ways(change)(cls), stop=stop, lines=with_signature(lines, cls.lines))


def without_an_end(run: Any, args: Any, log: Any, *more: Any, **options: Any) -> Any:
    """Run it with a logger that does not log the end."""

    class Mute:
        def __getattr__(self, level: str) -> Callable[[str], None]:
            return lambda text: None if text.startswith(("exit code", "stopped after")) else getattr(log, level)(text)

    return run(args, log and Mute(), *more, **options)


def no_runner(cls: type[Any]) -> type[Any]:
    """Return a class that has nothing of a runner but its constructors."""
    return type(
        "Broken",
        (),
        {
            "__init__": lambda self, *args: None,
            "open": classmethod(lambda cls, *args: cls()),
            "answer": lambda self, *args, **options: None,
        },
    )


def one_at_a_time(cls: type[Any]) -> type[Any]:
    """Return a class whose last output is kept in one place for all calls."""
    last: list[str] = []

    async def async_log_run(self: Any, *args: Any, **options: Any) -> Any:
        result = await cls.async_log_run(self, *args, **options)
        last.append(result.stdout)
        await asyncio.sleep(0)
        result.stdout = last[-1]
        await asyncio.sleep(0)
        return result

    return derived(cls, async_log_run=with_signature(async_log_run, cls.async_log_run))


def without_a_name(cls: type[Any]) -> type[Any]:
    """Return a class whose instances do not list a method."""
    return derived(cls, __dir__=lambda self: [name for name in object.__dir__(self) if name != "fork"])


UNCHANGED = both_ways(lambda run, *args, **options: run(*args, **options))

MUTANTS: dict[str, tuple[Derive, str]] = {
    "drops check": (
        both_ways(lambda run, args, log, out, err, check, **k: run(args, log, out, err, False, **k)),
        "test_a_failure_raises",
    ),
    "always checks": (
        both_ways(lambda run, args, log, out, err, check, **k: run(args, log, out, err, True, **k)),
        "test_without_check_a_failure_is_a_result",
    ),
    "strips the output": (altered(stdout=str.strip), "test_the_texts_are_exact"),
    "normalises line ends": (altered(stderr=lambda text: text.replace("\r\n", "\n")), "test_the_texts_are_exact"),
    "decorates standard output": (altered(stdout="stdout: {}".format), "test_the_texts_are_exact"),
    "args are a tuple": (altered(args=tuple), "test_the_result_has_what_was_run"),
    "args are those of the caller": (altered(args=lambda args: ["python", *args[1:]]), "test_the_result_has_what_was_run"),
    "strips indentation": (each_line(str.lstrip), "test_a_callable_gets_the_bare_line"),
    "keeps the line end": (each_line("{}\n".format), "test_a_callable_gets_the_bare_line"),
    "decorates lines for callables": (each_line("stdout: {}".format), "test_a_callable_gets_the_bare_line"),
    "loses blank lines": (with_levels(without_blank_lines), "test_a_callable_gets_the_bare_line"),
    "does not await": (with_levels(not_awaited), "test_an_async_callable_is_awaited"),
    "logs at the wrong level": (
        with_levels(lambda level: "error" if level == "info" else level),
        "test_lines_are_logged_with_the_name_of_their_stream",
    ),
    "swaps the streams": (
        both_ways(lambda run, args, log, out, err, *m, **k: run(args, log, err, out, *m, **k)),
        "test_lines_are_logged_with_the_name_of_their_stream",
    ),
    "logs standard output by default": (
        both_ways(lambda run, args, log, out, *m, **k: run(args, log, out or "debug", *m, **k)),
        "test_by_default_only_standard_error_is_logged",
    ),
    "has a logger of its own": (
        both_ways(lambda run, args, log, *m, **k: run(args, log or logging.getLogger("mine"), *m, **k)),
        "test_the_default_logger_is_that_of_the_package",
    ),
    "cmd is a string": (by_another_exception(subprocess.CalledProcessError, cmd_as_text), "test_a_failure_raises"),
    "no note": (by_another_exception(subprocess.CalledProcessError, without_notes), "test_a_failure_raises"),
    "an exception that does not pickle": (
        by_another_exception(
            subprocess.CalledProcessError,
            lambda exc: type("Local", (subprocess.CalledProcessError,), {})(exc.returncode, exc.cmd, exc.stdout, exc.stderr),
        ),
        "test_an_exception_travels_between_processes",
    ),
    "a timeout of another kind": (
        by_another_exception(subprocess.TimeoutExpired, lambda exc: TimeoutError()),
        "test_a_timeout_is_the_standard_exception",
    ),
    "ignores errors": (without("errors"), "test_a_bad_byte_hides_no_line"),
    "ignores secrets": (without("secrets"), "test_secrets_are_masked_where_people_look"),
    "masks for callables too": (
        each_line(lambda line: line.replace("hunter2-token", "****")),
        "test_secrets_are_masked_where_people_look",
    ),
    "swallows what a callable raises": (both_ways(swallowed), "test_what_a_callable_raises_propagates"),
    "takes any keyword": (without("no_such_keyword", "stdout", "shell"), "test_a_wrong_argument_is_refused"),
    "splits a string": (
        both_ways(lambda run, args, *m, **k: run(args.split() if isinstance(args, str) else args, *m, **k)),
        "test_a_wrong_argument_is_refused",
    ),
    "no duration": (altered(duration=lambda seconds: None), "test_the_result_has_the_duration"),
    "a duration in milliseconds": (altered(duration=lambda seconds: seconds * 1e6), "test_the_result_has_the_duration"),
    "does not log the end": (both_ways(without_an_end), "test_the_end_is_logged"),
    "iterators of its own": (
        changed(lines=lambda self, args, **options: iter(())),
        "test_its_iterators_have_the_signature_of_the_functions",
    ),
    "iterates over lines with their ends": (each_in_a_loop("{}\n".format), "test_lines_can_be_iterated_over"),
    "iterates over stripped lines": (each_in_a_loop(str.strip), "test_lines_can_be_iterated_over"),
    "does not check a loop": (unchecked_loops, "test_a_failure_is_raised_after_the_last_line"),
    "an iterator without a result": (without_a_value, "test_the_value_of_the_iterator_is_the_result"),
    "an iterator that goes on": (not_closable, "test_a_loop_can_be_left_early"),
    "can't be stopped": (changed(stop=None), "test_a_stop_ends_a_command"),
    "raises its own exception at a stop": (
        by_another_exception(CommandStoppedError, lambda exc: RuntimeError("stopped")),
        "test_a_stop_ends_a_command",
    ),
    "is stopped for ever": (stopped_for_ever, "test_a_stop_ends_a_command"),
    "can't stop a loop": (changed(stop=None), "test_a_stop_ends_a_loop"),
    "is stopped for ever in a loop": (stopped_for_ever, "test_a_stop_ends_a_loop"),
    "ignores options": (changed(with_options=lambda self, **options: self), "test_options_become_defaults"),
    "ignores options of loops": (changed(with_options=lambda self, **options: self), "test_options_become_defaults_of_loops"),
    "takes any option": (changed(with_options=lambda self, **options: self), "test_a_wrong_option_is_refused"),
    "has no options": (changed(with_options=None), "test_a_stop_reaches_a_runner_with_options"),
    "is no runner": (no_runner, "test_it_is_a_runner"),
    "works in the main thread only": (both_ways(main_thread_only), "test_any_thread_may_run_a_command"),
    "is busy while it runs a command": (busy, "test_a_callable_may_run_a_command"),
    "no loop may run": (both_ways(no_loop), "test_log_run_works_inside_a_running_loop"),
    "mixes up calls": (one_at_a_time, "test_twenty_at_once_on_one_loop"),
    "a signature of its own": (
        changed(log_run=lambda self, args, *, logger=None, check=True: None),
        "test_it_has_the_established_signature",
    ),
    "gives the very variables of the process": (
        changed(environment=lambda self, env=None: os.environ if env is None else env),
        "test_the_variables_are_a_new_dict",
    ),
    "changes the working directory": (
        both_ways(elsewhere),
        "test_the_process_is_left_alone",
    ),
    "allows an absolute path": (changed(resolve=lambda self, args: [*args]), "test_only_a_plain_name_is_a_command"),
    "a relative interpreter": (changed(python_executable="bin/python"), "test_python_is_an_absolute_path"),
    "calls past the module": (both_ways(direct), "test_a_patch_of_the_module_function_is_seen"),
}
ENVIRONMENT_MUTANTS: dict[str, tuple[Derive, str]] = {
    "runs commands of the system": (
        changed(python_executable=os.path.abspath(os.path.join(os.sep, "usr", "bin", "python"))),
        "test_a_command_is_one_of_the_environment",
    ),
    "is not active": (changed(environment=lambda self, env=None: dict(os.environ)), "test_the_environment_is_the_active_one"),
    "passes on all variables": (
        changed(environment=lambda self, env=None: dict(os.environ if env is None else env)),
        "test_inherited_variables_are_cleaned_and_those_of_the_caller_kept",
    ),
    "installs anything": (changed(install_package=lambda self, name: None), "test_only_a_requirement_is_installed"),
}
"""Those of a runner that stands for an environment of its own."""
STAND_IN_MUTANTS: dict[str, tuple[Derive, str]] = {
    "lacks a method": (without_a_name, "test_it_has_every_public_name_of_a_real_runner"),
    "a method with other arguments": (
        changed(installed=lambda self, *names: {}),
        "test_its_methods_take_the_arguments_of_a_real_runner",
    ),
    "a method that is no coroutine": (
        lambda cls: derived(cls, async_lock=with_signature(lambda self: None, cls.async_lock)),
        "test_its_methods_take_the_arguments_of_a_real_runner",
    ),
}
"""Those of a runner with the whole interface of a real one."""
