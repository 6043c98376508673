"""Redaction of credentials in text: find them in every spelling, and mask them."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import chain, groupby, pairwise

__tracebackhide__ = True

MASK = "****"

Span = tuple[int, int]
"""The start and the end of a piece of text."""

_SHORTEST_PART = 4
"""Minimum length of a part of a secret to be masked by itself, and of a secret to be searched for in base64."""
_SHORTEST_TOKEN = 8
"""Minimum length of a user without a password to count as a token, not as a name such as ``git``."""
_LONGEST = 4096
"""Maximum length of a secret to be searched for in every spelling: its pattern is slow to compile."""

_compiled = cache(re.compile)
"""Compiles a pattern when it is first used: together they cost 2 ms, and most programs need none."""

_SAME = r"[A-Za-z0-9_.-]+"
"""Characters that look the same in every spelling."""
_BACKSLASHES = r"\\{1,4}"
"""The start of an escaped character: JSON within JSON doubles it."""
_SHORT_ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", '"': '"', "'": "'", "/": "/"}
_ENTITIES = {"&": "amp|#38", "<": "lt|#60", ">": "gt|#62", '"': "quot|#34|#x22", "'": "apos|#39|#x27"}
_FURTHER = {" ": [r"\+", r"""['"], ['"]"""], "'": [re.escape("'\"'\"'"), re.escape("'\\''")]}
"""Further spellings: of a space in a form and between the words of a list, and of an apostrophe in a shell."""
_BASE64 = str.maketrans({"+": r"(?:[+-]|%2[Bb])", "/": r"(?:[/_]|\\{1,4}/|%2[Ff])"})
"""The characters in which the two alphabets of base64 differ, quoted or not."""
_ONE_OF_BASE64 = r"(?:[A-Za-z0-9+/_-]|%2[BbFf])?"

_SEPARATOR = r":(?:\\{0,4}/){2}|%3[Aa](?:%2[Ff]){2}"
_SCHEME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-."
_LONGEST_SCHEME = 32
_ENCODED_END = r"""[\s"'<>&/?#@]|%2[Ff3]|%3[Ff]"""
_STRICT_END = r'[\s"<>/?#]'
_PATH = r"[/?#]"
_QUERY = r"[?#]"
_USER = r'[^:\[\]\s"<>/?#]*:(?=\S)'
_PORT = r"\d{1,5}(?:\\{0,4}/|\Z)"
_HOST = r"localhost|\d{1,3}(?:\.\d{1,3}){3}"
_VERSION = (
    r"(?!\d+(?:\.\d+){3})(?:v?\d+(?:\.\d+)*(?:[-.]?(?:a|b|rc|alpha|beta|dev|post)[\w.-]*)?|latest|main|master|HEAD|[0-9a-f]{7,40})"
    r"(?![\w.-])|sha\d+:"
)
_MORE_WORDS = r"""(?: +[^\s@<>(\[{"'][^\s@]*){1,2}@(?=[\w\[])"""

_AFTER_QUOTE = r"(?=[\s,;:)\]}>'\"\\]|/>|\Z)"
_ANY_END = r"[^\S ]|<(?=/?[A-Za-z!][^<>@\s]{0,64}[>\s])|>(?=[\s,;:)\]}<\"']|\Z)"
_ENDS = {
    "'": f"'{_AFTER_QUOTE}|{_ANY_END}",
    '"': f'(?<!\\\\)"{_AFTER_QUOTE}|{_ANY_END}',
    "": f'"{_AFTER_QUOTE}|{_ANY_END}',
}
"""The latest end of a URL, keyed by the quotation mark before it: that mark, unless it looks like a part of a password."""


class Redactor:
    r"""Mask credentials in text that people see.

    It masks the users and passwords of URLs, and secrets in every spelling: plain, as in a URL (``%2F``, ``%2f``, ``+``), as in
    JSON, HTML, a shell or a ``repr``, and in base64, also of ``user:secret``.

    Args:
        secrets: strings to mask everywhere; for a string of several lines also each line, for a URL also its password.

    >>> Redactor(["hunter2"]).mask("pip install git+https://me:pw@host/x --token hunter2")
    'pip install git+https://****@host/x --token ****'
    >>> Redactor(["p/ w"]).mask(r"p%2f+w, p\/ w, cC8gdw== and Basic bWU6cC8gdw==")
    '****, ****, **** and Basic bWU6****'
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._needles = list(_needles(secrets))

    def spans(self, text: str) -> list[Span]:
        """Return the spans of all credentials in a text, in order, with overlapping spans merged."""
        found: list[Span] = []
        # Almost no line has any, so the first check is cheap.
        for needle in self._needles:
            if needle.anchor in text and (match := needle.search(text)) is not None:
                found += _in_order(_matches(match))
        if "@" in text or "%40" in text:
            found += _userinfo_spans(text)
        return merged(found) if found else found

    def mask(self, text: str) -> str:
        """Return the text with all credentials masked."""
        return masked(text, spans) if (spans := self.spans(text)) else text

    def mask_all(self, args: Sequence[str]) -> list[str]:
        """Return a command line with all credentials masked."""
        return [masked(arg, spans) if (spans := self.spans(arg)) else arg for arg in args]


def masked(text: str, spans: Iterable[Span]) -> str:
    """Return a text with each span replaced by a mask.

    >>> masked("to hunter2", [(3, 10)])
    'to ****'
    """
    pieces, end = list[str](), 0
    for begin, after in spans:
        pieces += [text[end:begin], MASK]
        end = after
    return "".join([*pieces, text[end:]])


def whole_lines(text: str, *, is_cut: bool) -> str:
    r"""Return output without a first line whose start is cut off: the rest of a credential would not be recognized.

    >>> whole_lines("unter2@host/x failed\nbye", is_cut=True)
    'bye'
    """
    return text.partition("\n")[2] if is_cut else text


def fills(text: str, keep: int | None) -> bool:
    """Return whether output may be cut off because only its last *keep* bytes were kept; ``None``: all."""
    # In no encoding a character has more than four bytes, and up to three bytes of one are dropped.
    return isinstance(keep, int) and 4 * len(text) + 3 >= keep  # a wrong keep= is refused elsewhere


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order, with overlapping spans merged.

    >>> merged([(6, 9), (0, 3), (2, 4), (4, 5)])
    [(0, 4), (4, 5), (6, 9)]
    """
    return list(_in_order(sorted(spans)))


def userinfos(text: str) -> Iterator[str]:
    """Yield the user and password of each URL in a text, if the URL can be read in only one way.

    >>> list(userinfos("https://me:pw@host and https://host:8080/x@y and ssh://git@host"))
    ['me:pw']
    """
    return (text[begin:end] for begin, end in _userinfo_spans(text, guess=False))


class _Needle:
    """A string to search for in all its spellings.

    Args:
        anchor: a substring of all spellings; a text without it is not searched.
        spell: returns the pattern of all spellings.
    """

    def __init__(self, anchor: str, spell: Callable[[], str]) -> None:
        self.anchor = anchor
        self._spell = spell
        self._pattern: re.Pattern[str] | None = None  # most secrets never occur

    def search(self, text: str) -> re.Match[str] | None:
        """Return the first match."""
        if self._pattern is None:
            self._pattern = re.compile(self._spell())
        return self._pattern.search(text)


def _needles(secrets: Iterable[str]) -> Iterator[_Needle]:
    """Yield the needles for secrets, their parts and their spellings."""
    wholes: set[str] = set()
    lines: set[str] = set()
    for secret in secrets:
        wholes |= _forms(secret)
        lines |= {line for line in map(str.strip, secret.splitlines()) if len(line) >= _SHORTEST_PART}
    yield from map(_spelled, wholes | lines)
    for form in set(map(str.strip, wholes)):
        yield from _encoded(form)


def _matches(match: re.Match[str] | None) -> Iterator[Span]:
    """Yield the spans of a match and all later ones, also overlapping: "abab" in "ababab" must leave no tail."""
    while match is not None:
        yield match.span()
        match = match.re.search(match.string, match.start() + 1)


def _in_order(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield sorted spans, with overlapping spans merged."""
    begin, end = 0, 0
    for first, after in spans:
        if first < end:
            end = max(end, after)
            continue
        if end:
            yield begin, end
        begin, end = first, after
    if end:
        yield begin, end


def _forms(secret: str) -> set[str]:
    """Return all strings to mask for one secret: itself, stripped, unquoted, and the password of a URL."""
    forms = {secret, secret.strip()}
    for userinfo in userinfos(secret):
        user, _colon, password = userinfo.partition(":")
        parts = {password, userinfo} if password else {user} if len(user) >= _SHORTEST_TOKEN else set[str]()
        forms |= {part for part in parts if len(part) >= _SHORTEST_PART}
    if "%" in secret:
        from urllib.parse import unquote  # slow to import, and few secrets are quoted

        forms |= {form for form in (unquote(form, errors="surrogateescape") for form in forms) if len(form) >= _SHORTEST_PART}
    return {form for form in forms if form.strip()}


def _spelled(secret: str) -> _Needle:
    """Return the needle for every spelling of a secret except base64."""
    anchor = max(_compiled(_SAME).findall(secret), key=len, default="")
    if len(secret) > _LONGEST:
        return _Needle(anchor, partial(re.escape, secret))
    return _Needle(anchor, lambda: "".join(_spellings(character, len(list(run))) for character, run in groupby(secret)))


def _spellings(character: str, times: int) -> str:
    """Return a pattern for all spellings of a repeated character.

    >>> _spellings("x", 2), re.fullmatch(_spellings(" ", 1), "%20") is not None
    ('xx', True)
    """
    if _compiled(_SAME).fullmatch(character):
        return re.escape(character * times)
    data, number = _bytes(character), ord(character)
    utf16 = character.encode("utf-16-be", "surrogatepass").hex()
    escapes = [
        "".join(f"%(?:25){{0,2}}{byte:02x}" for byte in data),
        "".join(f"{_BACKSLASHES}u{utf16[at : at + 4]}" for at in range(0, len(utf16), 4)),
        "".join(f"{_BACKSLASHES}x{byte:02x}" for byte in data),
        f"{_BACKSLASHES}(?:x{number:02x}|U{number:08x})",
    ]
    ways = [*_FURTHER.get(character, ()), *(f"(?i:{escape})" for escape in escapes)]
    if character in _SHORT_ESCAPES:
        ways.append(_BACKSLASHES + re.escape(_SHORT_ESCAPES[character]))
    if character in _ENTITIES:
        ways.append(f"&(?:{_ENTITIES[character]});")
    if character == "\\":
        # Matched one by one, a run of backslashes could be split in exponentially many ways.
        return rf"(?:\\{{{times},{4 * times}}}|(?:{'|'.join(ways)}){{{times}}})"
    return f"(?:{'|'.join([*ways, re.escape(character)])}){{{times}}}"


def _encoded(secret: str) -> Iterator[_Needle]:
    """Yield the needles for base64 of a secret, and of any text that contains it."""
    data = _bytes(secret)
    if len(data) < _SHORTEST_PART:
        return
    from binascii import b2a_base64  # most calls have no secret

    # Three bytes are four characters, so the encoded form depends on how many bytes precede the secret.
    for shift, skipped in enumerate((0, 2, 3)):
        after = shift + len(data)
        # Only the characters in the middle depend on the secret alone; one more at each end holds some of its bits.
        text = b2a_base64(bytes(shift) + data, newline=False).decode()[skipped : after * 8 // 6]
        left, right = _ONE_OF_BASE64 if shift else "", f"{_ONE_OF_BASE64}(?:=|%3[Dd]){{0,2}}" if after % 3 else ""
        yield _Needle(
            max(_compiled(_SAME).findall(text), key=len, default=""), partial(str, left + text.translate(_BASE64) + right)
        )


def _bytes(text: str) -> bytes:
    """Return a text in UTF-8, including bytes that ``os.fsdecode`` could not decode."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _userinfo_spans(text: str, *, guess: bool = True) -> Iterator[Span]:
    """Yield the span of the user and password of each URL, also of a URL that is quoted for a URL or for JSON."""
    for separator, following in pairwise(chain(_compiled(_SEPARATOR).finditer(text), [None])):
        assert separator is not None
        begin, stop = separator.end(), len(text) if following is None else following.start()
        if text[separator.start()] == "%":
            end, colon = text.rfind("%40", begin, _find(_ENCODED_END, text, begin, stop)), "%3"
        else:
            end, colon = _userinfo_end(text, separator.start(), begin, stop, guess=guess), ":"
        # The user of an ssh URL is a name, such as git.
        is_ssh = text.endswith("ssh", 0, separator.start())
        if end > begin and not (is_ssh and text.find(colon, begin, end) < 0):
            yield begin, end


def _userinfo_end(text: str, scheme_end: int, begin: int, stop: int, *, guess: bool) -> int:
    """Return the end of the user and password of a URL, or -1.

    RFC 3986 forbids ``/``, ``?``, ``#``, quotation marks and spaces in them, but people write passwords with all of these. So
    after a user, a colon and text that can't be a port, everything up to the ``@`` is a password, with at most two spaces: a
    sentence has more. Text that may be a port and a path, as in ``name:1234/x@y``, is a password unless the name is an
    address, the ``@`` begins a part of the path, or a version follows it. Text with spaces or with such
    a port is only read as a password if *guess* is true.
    """
    if text.find("@", begin, stop) < 0:
        return -1
    before = text[max(0, scheme_end - _LONGEST_SCHEME) : scheme_end].rstrip(_SCHEME)
    end = _find(_ENDS.get(before[-1:] if before[-2:-1] != "\\" else "", _ENDS[""]), text, begin, stop)
    at = text.rfind("@", begin, _find(_STRICT_END, text, begin, end))
    user = _compiled(_USER).match(text, begin, end)
    if at >= 0 or user is None:
        return at
    blank = text.find(" ", begin, end)
    word_end = end if blank < 0 else blank
    port = _compiled(_PORT).match(text, user.end(), min(word_end, _find(_PATH, text, begin, word_end) + 1))
    if port is None:
        at = text.find("@", begin, word_end)
        if at < 0 and guess and (words := _compiled(_MORE_WORDS).match(text, word_end, end)):
            return words.end() - 1
    elif guess and not _compiled(_HOST).fullmatch(text, begin, user.end() - 1):
        at = text.find("@", begin, _find(_QUERY, text, begin, word_end))
        if at >= 0 and (text.endswith(("/", ".git"), begin, at) or _compiled(_VERSION).match(text, at + 1, end)):
            return -1
    return at if at < 0 else text.rfind("@", at, _find(_PATH, text, at, word_end))


def _find(pattern: str, text: str, begin: int, stop: int) -> int:
    """Return the position of the first match between *begin* and *stop*, or *stop*."""
    match = _compiled(pattern).search(text, begin, stop)
    return stop if match is None else match.start()
