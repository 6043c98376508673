"""Tiny projects for tests: wheels written by hand, an editable project, and an environment that has one of each."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

LOCAL = ["--no-index", "--find-links", "wheels"]
"""The options to install what :func:`make_pockets` writes, in its directory."""


def make_pockets(folder: Path) -> None:
    """Write the directory ``wheels`` with two releases of pocket, and ``limits.txt``, which excludes the newer one."""
    (folder / "wheels").mkdir()
    for version in ("1.0", "2.0"):
        make_wheel(folder / "wheels", "pocket", version)
    (folder / "limits.txt").write_text("pocket<2\n")


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    modules: Mapping[str, str] | None = None,
    commands: Mapping[str, str] | None = None,
    requires: Sequence[str] = (),
    data: Mapping[str, str] | None = None,
    scripts: Mapping[str, str] | None = None,
    pth: Mapping[str, str] | None = None,
    metadata: str = "",
) -> Path:
    """Write a wheel by hand.

    Args:
        folder: where the wheel goes.
        name: the project's name, in its normal form.
        version: its version.
        modules: paths in the directory of packages, and sources; default: a module that prints name, version and prefix.
        commands: names of console scripts, and entry points; default: one that runs the default module.
        requires: requirements.
        data: paths below the environment's directory, and contents.
        scripts: names of scripts that are no entry points, and contents.
        pth: names of ``.pth`` files, and contents.
        metadata: further lines of its metadata.
    """
    info = f"{name}-{version}.dist-info"
    if modules is None:
        modules = {f"{name}.py": MODULE.format(name=name, version=version)}
        commands = {name: f"{name}:main"} if commands is None else commands
    entries = "".join(f"{command} = {entry}\n" for command, entry in (commands or {}).items())
    files = {
        **modules,
        **(pth or {}),
        **{f"{name}-{version}.data/data/{path}": text for path, text in (data or {}).items()},
        **{f"{name}-{version}.data/scripts/{path}": text for path, text in (scripts or {}).items()},
        f"{info}/METADATA": METADATA.format(name=name, version=version)
        + metadata
        + "".join(f"Requires-Dist: {r}\n" for r in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{entries}",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o100755 if ".data/scripts/" in path else 0o100644) << 16
            archive.writestr(entry, text)
    return wheel


METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
MODULE = """import sys
VERSION = {version!r}
def main():
    print({name!r}, VERSION, sys.prefix)
if __name__ == "__main__":
    main()
"""


def make_wheels(folder: Path) -> list[Path]:
    """Write what a parent has in most tests: a project with all kinds of files, one that needs it, and one with .pth files."""
    return [
        make_wheel(
            folder,
            "pocket",
            data={"share/pocket/notes.txt": "notes 1.0\n"},
            scripts={"pocket-raw": "#!python\nimport pocket\npocket.main()\n"},
        ),
        make_wheel(folder, "needy", requires=["pocket>=1"]),
        make_wheel(
            folder,
            "wires",
            modules={"wires_more/strand.py": "", "wires_hook.py": "folder = None\n"},
            pth={
                "wires.pth": "wires_more\n",
                "wires-hook.pth": "import sys, wires_hook; wires_hook.folder = sys._getframe(1).f_locals['sitedir']\n",
            },
        ),
    ]


def make_command_wheel(folder: Path, name: str = "pocket", version: str = "1.0", requires: str = "") -> Path:
    """Write a wheel by hand: a module, and a command that prints name and version."""
    source = f"def main():\n    print({name!r}, {version!r})\n"
    return make_wheel(
        folder,
        name,
        version,
        modules={f"{name}.py": source},
        commands={name: f"{name}:main"},
        requires=[requires] if requires else [],
    )
