"""Unsupported keywords: those of other libraries, with what to use instead, and misspelled ones."""

from collections.abc import Collection, Iterable, Mapping

__tracebackhide__ = True

_OUTPUT = "the output is read line by line and returned; use stdout_loglevel and stderr_loglevel to see it"
_TEXT = "the output is text already, decoded with encoding= (default: UTF-8); use errors= to choose what happens to a bad byte"
_GROUP = "every command leads a session of its own, so that it can be stopped with all its children"
REFUSED: Mapping[str, str] = {
    "stdout": _OUTPUT,
    "stderr": _OUTPUT,
    "capture_output": _OUTPUT,
    "shell": "a command is a list of arguments; for a shell command line, run ['sh', '-c', line]",
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
