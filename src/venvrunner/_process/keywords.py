"""Keywords of calls: the defaults that a runner adds, and those that are unsupported, with what to use instead."""

import functools
from collections.abc import Callable, Collection, Iterable, Mapping
from types import FunctionType
from typing import Any, NamedTuple, cast

from venvrunner._process.checks import kept_secrets
from venvrunner._redaction import Redactor

__tracebackhide__ = True

_OUTPUT = "the output is read line by line and returned; use stdout_loglevel and stderr_loglevel to see it"
_ERRORS = "the output is read line by line and returned; use merge_stderr=True to get it in stdout, stderr_loglevel to see it"
_TEXT = "the output is text already, decoded with encoding= (default: UTF-8); use errors= to choose what happens to a bad byte"
_GROUP = "every command leads a session of its own, so that it can be stopped with all its children"
REFUSED: Mapping[str, str] = {
    "stdout": _OUTPUT,
    "stderr": _ERRORS,
    "capture_output": _OUTPUT,
    "shell": "a command is a list of arguments; for a shell command line, use subprocess_util.log_run(['sh', '-c', line]), "
    "for an environment with env=venv.environment()",
    "text": _TEXT,
    "universal_newlines": _TEXT,
    "bufsize": "output is delivered as soon as it arrives; leave this out",
    "limit": "a line may have any length; leave this out",
    "start_new_session": _GROUP,
    "process_group": _GROUP,
    "success_codes": "pass check=False, and compare the result's returncode",
    "silent": "lines are shown only as stdout_loglevel and stderr_loglevel choose; stderr_loglevel=None shows none",
    "external": "a runner runs commands of its environment; for a system command, use subprocess_util.log_run()",
}


def check_keywords(given: Iterable[str], known: Collection[str]) -> None:
    """Check the keywords of a call.

    Raises:
        TypeError: a keyword is unknown or refused; the message says what to use instead.

    >>> check_keywords(["timeot"], ["timeout", "cwd"])
    Traceback (most recent call last):
    ...
    TypeError: timeot= is unknown. Did you mean timeout=? The keywords are: cwd, timeout.
    """
    for name in given:
        if name in REFUSED:
            msg = f"{name}= can't be used here: {REFUSED[name]}."
            raise TypeError(msg)
        if name not in known:
            from difflib import get_close_matches  # slow to import, and rarely needed

            guess = "".join(f"Did you mean {match}=? " for match in get_close_matches(name, known, 1, 0.75))
            msg = f"{name}= is unknown. {guess}The keywords are: {', '.join(sorted(known))}."
            raise TypeError(msg)


class _Form(NamedTuple):
    """How a method of a runner takes the keywords of ``log_run``.

    Attributes:
        positions: the names of the parameters that can be given by position.
        only: the keywords that it takes; ``None``: all.
        never: keywords that it does not take.
    """

    positions: tuple[str, ...] = ()
    only: frozenset[str] | None = None
    never: frozenset[str] = frozenset()

    def takes(self, name: str, given: tuple[Any, ...]) -> bool:
        """Return whether a default applies to a call with some positional arguments."""
        return name not in self.positions[: len(given)] and name not in self.never and (self.only is None or name in self.only)


_RUN = _Form(("args", "logger", "stdout_loglevel", "stderr_loglevel", "check"))
_INSTALL = _Form(never=frozenset({"check"}))
_HOOK = _Form(
    ("cmd", "cwd", "extra_environ"),
    only=frozenset({"cwd", "logger", "stdout_loglevel", "stderr_loglevel", "timeout", "grace", "heartbeat", "secrets"}),
)
_FORMS: Mapping[str, _Form] = {
    **dict.fromkeys(("log_run", "async_log_run", "lines", "async_lines"), _RUN),
    **dict.fromkeys(("install", "async_install", "uninstall", "async_uninstall", "lock", "async_lock"), _INSTALL),
    **dict.fromkeys(("call", "async_call"), _Form(only=frozenset({"secrets"}))),  # they pass on to log_run, which has the rest
    "hook_runner": _HOOK,
}
"""The methods of runners that use the defaults of a runner."""
_COROUTINE = 0x80
"""The flag of an ``async def``: ``inspect.CO_COROUTINE``, without the import of inspect, which is slow."""
_HIDDEN = {"env", "extra_env", "input", "secrets"}
"""The keywords whose values a ``repr`` does not show: a secret may be among them."""


def use_defaults(cls: type[Any]) -> None:
    """Let the methods that a class of runners defines add the defaults of the runner to the arguments of a call.

    A wrapper does so, because the established signature does not tell an argument that equals its default from none.
    """
    for name, form in _FORMS.items():
        method = vars(cls).get(name)
        if isinstance(method, FunctionType):
            setattr(cls, name, _with_defaults(method, form))


def _with_defaults(method: Callable[..., Any], form: _Form) -> Callable[..., Any]:
    def completed(defaults: Mapping[str, Any], args: tuple[Any, ...], given: dict[str, Any]) -> dict[str, Any]:
        return merged({name: value for name, value in defaults.items() if form.takes(name, args)}, given)

    @functools.wraps(method)
    def call(self: Any, *args: Any, **given: Any) -> Any:
        return method(self, *args, **(completed(self._defaults, args, given) if self._defaults else given))

    @functools.wraps(method)
    async def call_async(self: Any, *args: Any, **given: Any) -> Any:
        return await method(self, *args, **(completed(self._defaults, args, given) if self._defaults else given))

    return call_async if method.__code__.co_flags & _COROUTINE else call


def merged(defaults: Mapping[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the keywords of a call with defaults: those of the call win, *secrets* and the variables of *extra_env* add up.

    Raises:
        TypeError: the secrets are not strings.

    >>> merged({"timeout": 60, "secrets": ["one"]}, {"timeout": None, "secrets": ["two"]})
    {'timeout': None, 'secrets': ['one', 'two']}
    """
    options = {**defaults, **given}
    for name, other in (("input", "stdin"), ("stdin", "input")):
        if given.get(name) is not None and other not in given:
            options.pop(other, None)  # they exclude each other
    if "secrets" in defaults and "secrets" in given:
        options["secrets"] = list(dict.fromkeys([*defaults["secrets"], *kept_secrets(given)]))
    variables: object = given.get("extra_env") or {}
    if "extra_env" in defaults and isinstance(variables, Mapping):
        options["extra_env"] = {**(defaults["extra_env"] or {}), **cast("Mapping[str, Any]", variables)}
    return options


def own_copies(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return keywords for many calls: an iterator is read once, and a later change of the caller's variables has no effect."""
    kept = dict(options)
    for name in kept.keys() & {"env", "extra_env"}:
        kept[name] = None if kept[name] is None else dict(kept[name])
    if kept.get("extra_groups") is not None:
        kept["extra_groups"] = list(kept["extra_groups"])
    return kept


def shown(defaults: Mapping[str, Any]) -> str:
    """Return the call that gives a runner its defaults, for its ``repr``; nothing if it has none.

    >>> shown({"timeout": 60, "env": {"TOKEN": "hunter2"}}), shown({})
    ('.with_options(timeout=60, env=...)', '')
    """
    if not defaults:
        return ""
    parts = [f"{name}={'...' if name in _HIDDEN else repr(value)}" for name, value in defaults.items()]
    return f".with_options({Redactor(defaults.get('secrets', ())).mask(', '.join(parts))})"
