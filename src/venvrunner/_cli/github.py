"""GitHub Actions: its commands in the log, and text that is none."""

import os

__tracebackhide__ = True

COMMANDS = ("::", "##[")
"""What begins a command in the log: the first at the start of a line, also after blanks, the other one anywhere."""


def is_here() -> bool:
    """Return whether this process runs in a step of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def inert(text: str) -> str:
    r"""Return text in which no line is a command for GitHub Actions.

    >>> inert("::error::no"), inert("one\r  ::warning::two ##[error]three")
    ('| ::error::no', 'one\n|   ::warning::two ## [error]three')
    """
    lines = text.replace(COMMANDS[1], "## [").splitlines()
    return "\n".join(f"| {line}" if line.lstrip().startswith(COMMANDS[0]) else line for line in lines)


def command(name: str, text: str, **properties: str) -> str:
    r"""Return the line that is a command for GitHub Actions.

    >>> command("error", "50 %\nin two lines", title="a,b")
    '::error title=a%2Cb::50 %25%0Ain two lines'
    """
    shown = ",".join(f"{key}={_escaped(value).replace(':', '%3A').replace(',', '%2C')}" for key, value in properties.items())
    return f"::{name}{' ' if shown else ''}{shown}::{_escaped(text)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
