"""Finished text for loggers that take every text for a format; without I/O."""

from collections.abc import Callable
from typing import Any, Self, SupportsIndex

__tracebackhide__ = True

_KEPT = ("strip", "lstrip", "rstrip", "expandtabs", "replace", "removeprefix", "removesuffix", "translate", "__getitem__")
"""The methods that give a piece or a variant of a text."""
_FAILURES = (IndexError, KeyError, TypeError, ValueError)
"""What formatting raises."""


class PreformattedText(str):
    """A text that stays as it is when it is formatted, in brace style or percent style.

    A logger gets it as its message. Whatever class wraps that logger, ``message.format(…)`` and ``message % …`` return the
    text. It is equal to the plain string, and becomes one when it is copied, pickled, encoded or put into another string.

    Args:
        text: what stays as it is.
        before: what a logger has put before it, such as ``"[{job}] "``; this is still formatted.
        after: what a logger has put after it.

    >>> finished = PreformattedText("100% {done}")
    >>> finished.format(done=1), finished % (), ("[{job}] " + finished).format(job=7)
    ('100% {done}', '100% {done}', '[7] 100% {done}')
    """

    __slots__ = ("_after", "_before", "_text")
    _text: str
    _before: str
    _after: str

    def __new__(cls, text: str, before: str = "", after: str = "") -> Self:
        """Create the text."""
        self = super().__new__(cls, f"{before}{text}{after}")
        self._text, self._before, self._after = text, before, after
        return self

    def format(self, *args: object, **kwargs: object) -> "PreformattedText":
        """Return the text; only what a logger has put around it is formatted."""
        return self._formatted(braces_escaped, lambda text: text.format(*args, **kwargs))

    def format_map(self, mapping: Any, /) -> "PreformattedText":
        """Same as :meth:`format`, but with a mapping."""
        return self._formatted(braces_escaped, lambda text: text.format_map(mapping))

    def __mod__(self, value: Any, /) -> "PreformattedText":
        """Same as :meth:`format`, but in percent style."""
        return self._formatted(percents_escaped, lambda text: text % value)

    def __add__(self, other: str, /) -> str:
        """Return the text with more after it."""
        if isinstance(other, PreformattedText):
            return PreformattedText(super().__add__(other))
        return PreformattedText(self._text, self._before, self._after + other) if isinstance(other, str) else NotImplemented

    def __radd__(self, other: str, /) -> str:
        """Return the text with more before it."""
        return PreformattedText(self._text, other + self._before, self._after) if isinstance(other, str) else NotImplemented

    def __str__(self) -> str:
        """Return the text itself, which a logger may go on to format."""
        return self

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> tuple[Any, ...]:
        """Copy and pickle as a plain string: another process need not have this package."""
        return str, (super().__str__(),)

    def _formatted(self, escape: Callable[[str], str], put_in: Callable[[str], str]) -> "PreformattedText":
        if not self._before and not self._after:
            return self
        return PreformattedText(put_in(self._before + escape(self._text) + self._after))


def _kept(method: Callable[..., str]) -> Callable[..., str]:
    def call(self: PreformattedText, *args: Any, **kwargs: Any) -> str:
        result = method(self, *args, **kwargs)
        return result if self._before or self._after else PreformattedText(result)

    return call


for _name in _KEPT:
    setattr(PreformattedText, _name, _kept(getattr(str, _name)))


def braces_escaped(text: str) -> str:
    """Return what ``str.format`` turns into a text.

    >>> braces_escaped("{x}").format()
    '{x}'
    """
    return text.replace("{", "{{").replace("}", "}}")


def percents_escaped(text: str) -> str:
    """Return what ``%`` turns into a text.

    >>> percents_escaped("100 %") % ()
    '100 %'
    """
    return text.replace("%", "%%")


def dollars_escaped(text: str) -> str:
    """Return what ``string.Template`` turns into a text."""
    return text.replace("$", "$$")


def finished(text: str) -> str:
    """Return a text that any logger may log: a plain string if there is nothing in it to format."""
    return PreformattedText(text) if "{" in text or "}" in text or "%" in text else text


def unchanged(log: Callable[[str], Any], prepare: Callable[[str], str] = finished) -> Callable[[str], Any]:
    """Return what logs a text unchanged even if the logger gets hold of its characters and formats those.

    That is so for ``str.format(message)``, ``string.Formatter``, ``string.Template``, and a format that a logger has put
    together from the text. If it fails there, it has not been logged, so it is logged once more, escaped; and so are all
    that follow.

    Args:
        log: logs a text, or takes it for a format.
        prepare: what to try first.
    """

    def call(text: str) -> Any:
        nonlocal prepare
        try:
            return log(prepare(text))
        except _FAILURES as exc:
            for way in _other_ways(text, exc):
                if way is prepare:
                    continue
                try:
                    result = log(way(text))
                except _FAILURES:
                    continue
                prepare = way
                return result
            raise

    return call


def _other_ways(text: str, error: Exception) -> list[Callable[[str], str]]:
    """Return how else to log a text, given how logging it failed."""
    ways: list[Callable[[str], str]] = []
    if PreformattedText.__name__ in str(error):  # a serializer that takes no subclass of str
        ways.append(str)
    if type(error) is type(_failure(text.format)):
        ways.append(braces_escaped)
    if type(error) is type(_failure(lambda: text % ())) or (isinstance(error, KeyError) and "%(" in text):
        ways.append(percents_escaped)
    if "$" in text and isinstance(error, KeyError | ValueError):
        ways.append(dollars_escaped)
    return ways


def _failure(action: Callable[[], object]) -> Exception | None:
    try:
        action()
    except _FAILURES as exc:
        return exc
    return None
