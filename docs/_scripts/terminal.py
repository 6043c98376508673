"""Record the pictures of the command line in a real terminal: docs/terminal.svg, and those in docs/pictures.

Run it again after the command line prints something else, best on an idle machine: the pictures have its times.
The names of pictures as arguments record only these. With ``--check``, it writes nothing, and fails if the texts of a picture
are not those of a session of now.
"""

import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from fcntl import ioctl
from html import escape
from itertools import groupby
from pathlib import Path
from struct import pack
from termios import TIOCSWINSZ
from typing import NamedTuple

import pyte

DOCS = Path(__file__).resolve().parents[1]
INSTALL = "venvrunner --with ./greet -- greet"
STOPPED_AT = "Building wheel"
COMMENT = "# Again, stopped with Ctrl-C while it builds:"
PROOF = ["echo $?", "ls $TMPDIR", "pgrep --full --count $TMPDIR"]
PYTHONS = ("3.12", "3.13")
"""Of the matrix."""

COLUMNS, ROWS, PATIENCE = 80, 24, 120
"""Of the terminal, and the seconds to wait for what it has to show."""
BUILD, SHOWN = 2.5, 1.2
"""The seconds that the project builds, and those that its build is shown until it is stopped."""
LETTER, THOUGHT, HOLD = 0.03, 0.8, 6.0
"""Seconds of the picture: for a letter that is typed, before the next command, and at the end."""
FLASH, FRAME = 0.35, 0.2
"""Seconds: a step of the installer that is shown no longer than this is left out, and the time between two pictures of one."""

SECONDS = re.compile(r"(?<= )\d+\.\d\b")
"""The seconds in a table."""
LIVE = re.compile(r"\S \d:\d\d:\d\d (.*)")
"""A live line, with the last line of the installer."""
BACK_END = f"""\
import os, time, zipfile

INFO = {{
    "METADATA": "Metadata-Version: 2.1\\nName: greet\\nVersion: 1.0\\n",
    "WHEEL": "Wheel-Version: 1.0\\nGenerator: greet\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    "entry_points.txt": "[console_scripts]\\ngreet = greet:main\\n",
}}

def prepare_metadata_for_build_wheel(directory, config_settings=None):
    os.mkdir(os.path.join(directory, "greet-1.0.dist-info"))
    for name, text in INFO.items():
        with open(os.path.join(directory, "greet-1.0.dist-info", name), "w") as file:
            file.write(text)
    return "greet-1.0.dist-info"

def build_wheel(directory, config_settings=None, metadata_directory=None):
    time.sleep({BUILD})
    name = "greet-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        wheel.writestr("greet.py", "def main():\\n    print('hello from greet 1.0')\\n")
        for file, text in {{**INFO, "RECORD": ""}}.items():
            wheel.writestr(f"greet-1.0.dist-info/{{file}}", text)
    return name
"""
SCRIPT = '# /// script\n# requires-python = ">=3.11"\n# dependencies = ["greet"]\n# ///\nimport greet\n\ngreet.main()\n'
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'

MARGIN, WIDTH, LINE, ASCENT = 16, 8.4, 20, 15
"""Of the picture, in pixels: its margin, the width of a letter, and the height of a line and of what is above its base."""
STYLE = """\
svg { --ground: #f6f8fa; --border: #d0d7de; --text: #24292f; --quiet: #57606a; --green: #116329; --yellow: #7d4e00;
  --cyan: #1b6b72 }
@media (prefers-color-scheme: dark) {
  svg { --ground: #161b22; --border: #30363d; --text: #e6edf3; --quiet: #9198a1; --green: #7ee787; --yellow: #e3b341;
    --cyan: #76e3ea }
}
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: var(--text) }
.quiet { fill: var(--quiet) } .green { fill: var(--green) } .yellow { fill: var(--yellow) } .cyan { fill: var(--cyan) }
.ground { fill: var(--ground) } .border { fill: none; stroke: var(--border) } .cursor { fill: var(--text) }
.past { visibility: hidden }"""
"""Of the picture, for light and dark pages. Without an animation, it shows the end of the session."""
COLORS = {"green": "green", "brown": "yellow", "cyan": "cyan"}
"""The colours of the terminal that are used, as pyte and as the picture call them."""

Run = tuple[str, str]
"""A text, and its style."""
Row = tuple[Run, ...]


class Frame(NamedTuple):
    """The screen from a moment on, in seconds of the picture."""

    at: float
    rows: tuple[Row, ...]


class Typing(NamedTuple):
    """A command that is typed: the number of its row, its text, and when that begins."""

    row: int
    text: str
    at: float


class Terminal:
    """A shell in a terminal, and what its screen has shown.

    Attributes:
        frames: each change of the screen.
        typed: each command.
    """

    def __init__(self, master: int) -> None:
        self.frames: list[Frame] = []
        self.typed: list[Typing] = []
        self._master = master
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._begin = time.monotonic()

    def run(self, command: str, until: str = r"\$") -> None:
        """Type a command, and look at the screen until the last line matches."""
        self._wait_for(r"\$")
        self.pause(THOUGHT)
        os.write(self._master, command.encode())
        self._wait_for(re.escape(f"$ {command}"), until_whole=True)
        self.typed.append(Typing(self._screen.cursor.y, command, self.frames[-1].at))
        self.pause(LETTER * len(command) + THOUGHT / 2)
        os.write(self._master, b"\n")
        self._wait_for(until)

    def press_ctrl_c(self) -> None:
        """Press the keys, and wait for the prompt."""
        os.write(self._master, b"\x03")
        self.look(0.05)
        self.pause(THOUGHT)
        self._wait_for(r"\$")

    def look(self, seconds: float) -> None:
        """Look at the screen for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def pause(self, seconds: float) -> None:
        """Let time pass in the picture alone."""
        self._begin -= seconds

    def _wait_for(self, pattern: str, *, until_whole: bool = False) -> None:
        end = time.monotonic() + PATIENCE
        while not any(re.fullmatch(pattern, line.rstrip()) for line in self._lines()[-1:]):
            if time.monotonic() > end:
                msg = f"{pattern!r} was not shown after {PATIENCE} s, but {self._lines()!r}."
                raise RuntimeError(msg)
            self._read(1, is_shown=not until_whole)
        self._show()

    def _lines(self) -> list[str]:
        return [line for line in self._screen.display if line.strip()]

    def _read(self, seconds: float, *, is_shown: bool = True) -> None:
        if select.select([self._master], [], [], seconds)[0]:
            self._stream.feed(os.read(self._master, 4096))
            if is_shown:
                self._show()

    def _show(self) -> None:
        rows = tuple(self._row(number) for number in range(ROWS))
        if not self.frames or rows != self.frames[-1].rows:
            self.frames.append(Frame(time.monotonic() - self._begin, rows))

    def _row(self, number: int) -> Row:
        letters = [self._screen.buffer[number][column] for column in range(COLUMNS)]
        letters = letters[: len(self._screen.display[number].rstrip())]
        runs = groupby(letters, lambda letter: COLORS.get(letter.fg, ""))
        return tuple(("".join(letter.data for letter in run), style) for style, run in runs)


def found_python(version: str) -> str:
    """Return the path of an interpreter of this machine."""
    argv = [
        sys.executable,
        "-m",
        "venvrunner",
        "--python",
        version,
        "--",
        "python",
        "-c",
        "import sys; print(sys._base_executable)",
    ]
    return subprocess.run(argv, capture_output=True, check=True, text=True).stdout.strip()


def prepared(root: str, versions: Iterable[str]) -> dict[str, str]:
    """Write a project that takes a moment to build, and return variables that have nothing of this machine's settings."""
    for name in ("project/greet", "temporary", "home", "bin", "wheels"):
        os.makedirs(os.path.join(root, name))
    for path, text in {
        "project/greet/pyproject.toml": PROJECT,
        "project/greet/backend.py": BACK_END,
        "project/report.py": SCRIPT,
        "bin/venvrunner": f'#!/bin/sh\nexec "{sys.executable}" -m venvrunner "$@"\n',
    }.items():
        Path(root, path).write_text(text, encoding="utf-8")
    os.chmod(os.path.join(root, "bin", "venvrunner"), 0o700)
    for version in versions:
        os.symlink(found_python(version), os.path.join(root, "bin", f"python{version}"))
    build = [sys.executable, "-c", "import sys, backend; backend.build_wheel(sys.argv[1])", os.path.join(root, "wheels")]
    subprocess.run(build, cwd=os.path.join(root, "project", "greet"), check=True)
    places = {"PATH": f"{root}/bin:/usr/local/bin:/usr/bin:/bin", "HOME": f"{root}/home", "TMPDIR": f"{root}/temporary"}
    settings = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PS1": "$ ", "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    settings["PIP_FIND_LINKS"] = f"{root}/wheels"
    found = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}  # where venvrunner may be
    return {**places, **settings, **found}


@contextmanager
def started(directory: str, variables: dict[str, str]) -> Generator[Terminal]:
    """Start a shell in a terminal of its own."""
    process, master = pty.fork()
    if process == 0:
        os.chdir(directory)
        os.execve("/bin/sh", ["sh"], variables)  # noqa: S606  a shell is what the picture shows
    try:
        ioctl(master, TIOCSWINSZ, pack("HHHH", ROWS, COLUMNS, 0, 0))
        yield Terminal(master)
    finally:
        os.close(master)  # which ends the shell
        os.waitpid(process, 0)


class Picture(NamedTuple):
    """A picture, and the session that it shows.

    Attributes:
        path: the file.
        title: the title.
        description: what is seen, for those who do not see it.
        play: types the commands.
        pythons: the versions of further interpreters that the session needs.
    """

    path: Path
    title: str
    description: str
    play: Callable[[Terminal], None]
    pythons: tuple[str, ...] = ()


def play_installation(terminal: Terminal) -> None:
    """Install a project and run its command, then stop the same with Ctrl-C."""
    terminal.run(INSTALL)
    terminal.run(COMMENT)
    terminal.run(INSTALL, rf"\S \S+ {STOPPED_AT}.*")
    terminal.look(SHOWN)
    terminal.press_ctrl_c()
    for command in PROOF:
        terminal.run(command)


def commands(*lines: str) -> Callable[[Terminal], None]:
    """Return a function that types commands, one after the other."""

    def play(terminal: Terminal) -> None:
        for line in lines:
            terminal.run(line)

    return play


PICTURES = {
    picture.path.stem: picture
    for picture in (
        Picture(
            DOCS / "terminal.svg",
            "venvrunner in a terminal",
            "The command line installs a project into a temporary environment and runs its command. While it installs, one "
            "live line shows the time and the last line of the installer. Then the same installation is stopped with Ctrl-C: "
            "the exit code is 130, the directory for temporary files is empty, and no process is left.",
            play_installation,
        ),
        Picture(
            DOCS / "pictures" / "script.svg",
            "A script with inline metadata",
            "A script lists a package in a comment. The first run prepares an environment with it, the second one takes that "
            "from the store.",
            commands("cat report.py", "venvrunner report.py", "venvrunner report.py"),
        ),
        Picture(
            DOCS / "pictures" / "matrix.svg",
            "One command with two Pythons",
            "A project is installed and its command runs with Python 3.12 and 3.13. Each line begins with its Python. A table "
            "at the end has the status, the seconds and what was installed. A Python that is not found is skipped.",
            commands(
                f"venvrunner {' '.join(f'--python {python}' for python in PYTHONS)} --with ./greet -- greet",
                f"venvrunner --python {PYTHONS[1]} --python 3.99 --skip-missing -- python -c 1",
                "echo $?",
            ),
            PYTHONS,
        ),
        Picture(
            DOCS / "pictures" / "lock.svg",
            "A lock file",
            "A lock file of a requirement is written. Then a command runs with exactly what that lists.",
            commands("venvrunner lock -q greet", "grep -A 2 packages pylock.toml", "venvrunner --lock pylock.toml -q -- greet"),
        ),
        Picture(
            DOCS / "pictures" / "report.svg",
            "A report of a command that timed out",
            "A command is stopped after one second. The exit code is 124, and the report has that, and how the command ended.",
            commands(
                "venvrunner --timeout 1 --json runs.json -- python -c 'input()'",
                "echo $?",
                "grep -E 'status|exit_code|message' runs.json",
            ),
        ),
        Picture(
            DOCS / "pictures" / "doctor.svg",
            "A check of the machine",
            "A variable has a wrong value. The check finds that and says what to do. Without the variable, all is well.",
            commands(
                "VENVRUNNER_STORE_MAX_SIZE=many venvrunner doctor | grep -A 1 PROBLEM",
                "venvrunner doctor > doctor.txt; echo $?",
                "cut -d : -f 1 doctor.txt",
            ),
        ),
    )
}
"""The pictures, by name."""


def session(picture: Picture) -> Terminal:
    """Run the whole session of a picture, and return what was shown."""
    with tempfile.TemporaryDirectory() as root:
        variables = prepared(root, picture.pythons)
        # The first environment for an interpreter takes longer.
        for python in (sys.executable, *picture.pythons):
            argv = [os.path.join(root, "bin", "venvrunner"), "--python", python, "--", "python", "-c", ""]
            subprocess.run(argv, env=variables, check=True)
        with started(os.path.join(root, "project"), variables) as terminal:
            picture.play(terminal)
    return terminal


def text(row: Row) -> str:
    """Return the text of a row."""
    return "".join(part for part, _ in row)


def step(frame: Frame) -> str:
    """Return what the live line of a frame says of the installer, or an empty text."""
    found = [live[1] for row in frame.rows if (live := LIVE.fullmatch(text(row)))]
    return found[-1] if found else ""


def told(frames: Iterable[Frame]) -> list[str]:
    """Return the texts of the session in the order in which they were shown, without times and what is typed."""
    shown = [SECONDS.sub("0.0", LIVE.sub(r"\1", text(row))) for frame in frames for row in frame.rows]
    return list(dict.fromkeys(line for line in shown if line not in {"", "$", "^C"}))


def frames_of(picture: str) -> list[Frame]:
    """Return the rows of a picture, each as a frame of its own."""
    elements = ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")  # noqa: S314  it is our own
    return [Frame(0, ((("".join(element.itertext()), ""),),)) for element in elements]


def missing(picture: str, terminal: Terminal) -> list[str]:
    """Return the texts that only one of the two has, apart from steps of the live line, some of which are too quick to see."""
    frames = frames_of(picture)
    steps = {step(frame) for frame in (*frames, *terminal.frames)}
    pictured, now = ([line for line in told(found) if line not in steps] for found in (frames, terminal.frames))
    return [] if pictured == now else sorted({*pictured} ^ {*now}) or ["the order"]


def kept(frames: list[Frame]) -> list[Frame]:
    """Return the frames that are worth showing: steps that can be read, and not every turn of the spinner."""
    found: list[Frame] = []
    until = [*(frame.at for frame in frames[1:]), frames[-1].at]
    for name, group in groupby(zip(frames, until, strict=True), lambda pair: step(pair[0])):
        pairs = list(group)
        if name and pairs[-1][1] - pairs[0][0].at < FLASH:
            continue
        last = -FRAME
        for frame, _ in pairs:
            if not name or frame.at - last >= FRAME:
                found.append(frame)
                last = frame.at
    return found


def spans(frames: list[Frame], end: float) -> list[tuple[float, float, int, Row]]:
    """Return when each row is on the screen, in the order of their beginnings."""
    found: list[tuple[float, float, int, Row]] = []
    until = [*(frame.at for frame in frames[1:]), end]
    for number in range(ROWS):
        for row, group in groupby(zip(frames, until, strict=True), lambda pair: pair[0].rows[number]):  # noqa: B023  it is used at once
            pairs = list(group)
            if row:
                found.append((pairs[0][0].at, pairs[-1][1], number, row))
    return sorted(found)


def parts(row: Row) -> str:
    """Return the text of a row as SVG, with the prompt in a quiet colour."""
    runs = (("$", "quiet"), (row[0][0][1:], row[0][1]), *row[1:]) if text(row).startswith("$") else row
    return "".join(f'<tspan class="{style}">{escape(part)}</tspan>' if style else escape(part) for part, style in runs)


def drawn(picture: Picture, terminal: Terminal) -> str:
    """Return the picture: each row for the time that it is shown, and a cover that moves off what is typed."""
    frames = kept(terminal.frames)
    begin, end = frames[0].at, frames[-1].at + HOLD
    rows = spans(frames, end)
    width = max(len(text(row)) for *_, row in rows) * WIDTH + 2 * MARGIN
    height = (max(number for *_, number, _ in rows) + 1) * LINE + 2 * MARGIN

    def moment(at: float) -> str:
        return f"{(at - begin) / (end - begin) * 100:.2f}%"

    styles, body = list[str](), list[str]()
    for number, (first, last, row_number, row) in enumerate(rows):
        shown = f"{moment(first)} {{ visibility: visible }}" if first > begin else "0% { visibility: visible }"
        hidden = f" {moment(last)} {{ visibility: hidden }}" if last < end else ""
        styles.append(f"@keyframes t{number} {{ 0% {{ visibility: hidden }} {shown}{hidden} }}")
        kind = "now" if last == end else "past"
        place = f'y="{LINE * row_number}" textLength="{len(text(row)) * WIDTH:.1f}"'
        body.append(f'<text class="{kind}" style="animation-name: t{number}" {place}>{parts(row)}</text>')
    for number, typing in enumerate(terminal.typed):
        steps = len(typing.text)
        left, right = (f"transform: translateX({cells * WIDTH:.1f}px)" for cells in (2, 2 + steps))
        start, stop = moment(typing.at), moment(typing.at + LETTER * steps)
        styles.append(
            f"@keyframes c{number} {{ 0% {{ visibility: hidden; {left} }} "
            f"{start} {{ visibility: visible; {left}; animation-timing-function: steps({steps}) }} "
            f"{stop} {{ visibility: hidden; {right} }} }}"
        )
        place = f'y="{LINE * typing.row - ASCENT}"'
        body.append(
            f'<g class="past" style="animation-name: c{number}">'
            f'<rect class="ground" {place} width="{width:.0f}" height="{LINE}"/>'
            f'<rect class="cursor" {place} width="{WIDTH}" height="{LINE - 1}"/></g>'
        )
    motion = f".now, .past {{ animation: {end - begin:.1f}s step-end infinite }}"
    size = f'viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}"'
    frame = f'x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1}" rx="8"'
    names = 'role="img" aria-labelledby="title description"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {names}>',
            f'<title id="title">{escape(picture.title)}</title>',
            f'<desc id="description">{escape(picture.description)}</desc>',
            "<style>",
            STYLE,
            f"@media (prefers-reduced-motion: no-preference) {{ {motion} }}",
            *styles,
            "</style>",
            f'<rect class="ground" {frame}/>',
            f'<g transform="translate({MARGIN} {MARGIN + ASCENT})" xml:space="preserve">',
            *body,
            "</g>",
            f'<rect class="border" {frame}/>',
            "</svg>",
            "",
        ]
    )


def main(names: list[str], *, is_check: bool) -> None:
    """Record pictures, or compare them with sessions of now."""
    for picture in [PICTURES[name] for name in names or PICTURES]:
        terminal = session(picture)
        if not is_check:
            picture.path.write_text(drawn(picture, terminal), encoding="utf-8")
        elif wrong := missing(picture.path.read_text(encoding="utf-8"), terminal):
            sys.exit(f"{picture.path.name} differs from a session of now in {wrong}. Run docs/_scripts/terminal.py.")


if __name__ == "__main__":
    main([name for name in sys.argv[1:] if name != "--check"], is_check="--check" in sys.argv)
