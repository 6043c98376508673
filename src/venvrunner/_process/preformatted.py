"""Preformatted text for loggers that treat every message as a format string; without I/O."""

from collections.abc import Callable
from typing import Any, Self, SupportsIndex

__tracebackhide__ = True

_KEPT = ("strip", "lstrip", "rstrip", "expandtabs", "replace", "removeprefix", "removesuffix", "translate", "__getitem__")
"""The methods that return a piece or a variant of a string."""
_FAILURES = (IndexError, KeyError, TypeError, ValueError)
"""The exceptions of formatting."""


class PreformattedText(str):
    """A string that formatting leaves unchanged, in brace style and in percent style.

    A logger gets it as its message. Whatever class wraps that logger, ``message.format(…)`` and ``message % …`` return the
    text. It is equal to the plain string, and becomes one when it is copied, pickled, encoded or put into another string.

    Args:
        text: the text.
        before: a prefix that a logger has added, such as ``"[{job}] "``; it is still formatted.
        after: a suffix that a logger has added; it is still formatted.

    >>> text = PreformattedText("100% {done}")
    >>> text.format(done=1), text % (), ("[{job}] " + text).format(job=7)
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
        """Return the text; format only the prefix and the suffix that a logger has added."""
        return self._formatted(braces_escaped, lambda text: text.format(*args, **kwargs))

    def format_map(self, mapping: Any, /) -> "PreformattedText":
        """Same as :meth:`format`, but with a mapping."""
        return self._formatted(braces_escaped, lambda text: text.format_map(mapping))

    def __mod__(self, value: Any, /) -> "PreformattedText":
        """Same as :meth:`format`, but in percent style."""
        return self._formatted(percents_escaped, lambda text: text % value)

    def __add__(self, other: str, /) -> str:
        """Return the text with a suffix."""
        if isinstance(other, PreformattedText):
            return PreformattedText(super().__add__(other))
        return PreformattedText(self._text, self._before, self._after + other) if isinstance(other, str) else NotImplemented

    def __radd__(self, other: str, /) -> str:
        """Return the text with a prefix."""
        return PreformattedText(self._text, other + self._before, self._after) if isinstance(other, str) else NotImplemented

    def __str__(self) -> str:
        """Return the text itself, not a plain string: a logger may format the result."""
        return self

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> tuple[Any, ...]:
        """Copy and pickle as a plain string: the other process may lack this package."""
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
    """Return the format that ``str.format`` turns into a string.

    >>> braces_escaped("{x}").format()
    '{x}'
    """
    return text.replace("{", "{{").replace("}", "}}")


def percents_escaped(text: str) -> str:
    """Return the format that ``%`` turns into a string.

    >>> percents_escaped("100 %") % ()
    '100 %'
    """
    return text.replace("%", "%%")


def dollars_escaped(text: str) -> str:
    """Return the template that ``string.Template`` turns into a string."""
    return text.replace("$", "$$")


def preformatted(text: str) -> str:
    """Return a string that any logger logs unchanged: the plain string if it has no format characters."""
    return PreformattedText(text) if "{" in text or "}" in text or "%" in text else text


def unchanged(log: Callable[[str], Any], prepare: Callable[[str], str] = preformatted) -> Callable[[str], Any]:
    """Return a function that logs a string unchanged, even with a logger that formats the characters of a message.

    Loggers do that with ``str.format(message)``, ``string.Formatter``, ``string.Template``, or a format string that they
    build from the text. If such a logger raises, it has not logged the text, so the text is logged again in an escaped form;
    later texts are logged in that form at once.

    Args:
        log: the logger's function.
        prepare: the first form to try.
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
    """Return the other forms to try for a string, given the exception of the logger."""
    ways: list[Callable[[str], str]] = []
    if PreformattedText.__name__ in str(error):  # a serializer that accepts no subclass of str
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
