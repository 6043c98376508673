"""pyvenv.cfg: the settings of an environment, which Python, pip and other tools read."""

import os
from collections.abc import Mapping

__tracebackhide__ = True


def read_settings(venv_dir: str) -> dict[str, str]:
    """Return the settings of an environment.

    Raises:
        OSError: the file cannot be read.
    """
    return dict(map(_parse, _lines(venv_dir)))


def copy_settings(source: str, target: str, changes: Mapping[str, str] | None = None) -> None:
    """Copy the settings of one environment to another, or change them in place.

    The command that created the environment is left out, because it contains the path.

    Args:
        source: the environment to read the settings from.
        target: the environment to write them to; it may be the same.
        changes: the settings to change, with their new values.

    Raises:
        OSError: the file cannot be read or written.
    """
    changed = dict(changes or {})
    kept = [line for line in _lines(source) if _parse(line)[0] not in {"command", *changed}]
    with open(_path(target), "w", encoding="utf-8") as file:
        file.writelines([*kept, *(f"{name} = {value}\n" for name, value in changed.items())])


def _lines(venv_dir: str) -> list[str]:
    with open(_path(venv_dir), encoding="utf-8") as file:
        return list(file)


def _parse(line: str) -> tuple[str, str]:
    name, _equals, value = line.partition("=")
    return name.strip(), value.strip()


def _path(venv_dir: str) -> str:
    return os.path.join(venv_dir, "pyvenv.cfg")
