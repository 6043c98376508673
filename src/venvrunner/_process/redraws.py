r"""Redrawn lines, such as progress bars: the text that a terminal shows in the end; without I/O."""

import re
from io import StringIO

__tracebackhide__ = True

_MOVE = re.compile(
    r"(?P<back>\r|\x1b\[[01]?G)"
    r"|(?P<left>\x08)"
    r"|(?P<erase_rest>\x1b\[0?K)"
    r"|(?P<erase_all>\x1b\[2K)"
    # Colours and all other codes show no text.
    r"|(?P<code>\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[^\[\]]|))"
    r"|(?P<text>[^\r\x08\x1b]+)"
)


def is_redrawn(line: str) -> bool:
    """Return whether a terminal moves the cursor back within a line."""
    return "\r" in line or "\b" in line


def redrawn(line: str) -> str:
    r"""Return the text that a terminal finally shows of a line without its line end, in linear time.

    A carriage return moves to the start of the line, a backspace one character to the left; neither erases anything. The text
    after it overwrites only as many characters as it has. Terminal codes that erase a line take effect; all others, such as
    colours, are left out. Each character counts as one column.

    >>> redrawn("abcdef\rXY"), redrawn("99 %\r"), redrawn("Fetching\r\x1b[KDone"), redrawn("|\b/\b-")
    ('XYcdef', '99 %', 'Done', '-')
    """
    return _emulated(line) if "\x1b" in line or "\b" in line else _overlaid(line.split("\r"))


def _overlaid(drawings: list[str]) -> str:
    """Return the visible text of drawings, each on top of the earlier ones."""
    shown, width = list[str](), 0
    for drawing in reversed(drawings):
        if len(drawing) > width:
            shown.append(drawing[width:])
            width = len(drawing)
    return "".join(shown)


def _emulated(line: str) -> str:
    screen, blank = StringIO(newline=""), 0  # erased columns before the screen: filled in only if the cursor returns
    for move in _MOVE.finditer(line):
        match move.lastgroup:
            case "text":
                screen.write(move[0])
            case "back":
                screen, blank = _filled(screen, blank), 0
                screen.seek(0)
            case "left" if screen.tell():
                screen.seek(screen.tell() - 1)
            case "left":
                blank = max(0, blank - 1)
            case "erase_rest":
                screen.truncate()
            case "erase_all":
                blank += screen.tell()
                screen = StringIO(newline="")
            case _:
                pass
    return _filled(screen, blank).getvalue()


def _filled(screen: StringIO, blank: int) -> StringIO:
    text = screen.getvalue() if blank else ""
    if not text:
        return screen
    filled = StringIO(newline="")
    filled.write(" " * blank + text)
    return filled
