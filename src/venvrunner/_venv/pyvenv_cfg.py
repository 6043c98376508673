"""pyvenv.cfg: what Python, pip and other tools read of an environment."""

import os
from collections.abc import Mapping

__tracebackhide__ = True


def read_settings(venv_dir: str) -> dict[str, str]:
    """Return the settings of an environment.

    Raises:
        OSError: they can't be read.
    """
    return dict(map(_parse, _lines(venv_dir)))


def copy_settings(source: str, target: str, changes: Mapping[str, str] | None = None) -> None:
    """Write the settings of one environment into another, or changed ones into the same.

    What they say of how the environment was made is left out, because that names its place.

    Args:
        source: the environment to read them of.
        target: the environment to write them for.
        changes: settings that get another value.

    Raises:
        OSError: that is not possible.
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
