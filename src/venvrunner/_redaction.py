"""Credentials in text: find them in every spelling, and mask them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise

MASK = "****"

Span = tuple[int, int]
"""Where something begins and ends in a text."""

_SHORTEST_PART = 4
"""Characters from which on a part of a secret is masked by itself, and base64 of a secret is looked for."""
_SHORTEST_TOKEN = 8
"""Characters from which on a user without a password is a token, and not a name such as ``git``."""
_LONGEST = 10_000
"""Characters up to which a secret is looked for in every spelling; the pattern for that is slow to compile."""
_SAFE = re.compile(r"[A-Za-z0-9_.-]+")
"""Characters that look the same in every spelling."""
_BACKSLASHES = r"\\{1,4}"
"""Before an escaped character; JSON in JSON doubles them."""
_SHORT_ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", '"': '"', "'": "'", "/": "/"}
_ENTITIES = {"&": "amp|#38", "<": "lt|#60", ">": "gt|#62", '"': "quot|#34|#x22", "'": "apos|#39|#x27"}
_IN_SHELLS = {"'": ("'\"'\"'", "'\\''")}
_IN_BASE64 = {"+": r"(?:[+-]|%2[Bb])", "/": r"(?:[/_]|\\{1,4}/|%2[Ff])"}
"""Standard and URL-safe alphabet, quoted or not."""
_ONE_OF_BASE64 = r"(?:[A-Za-z0-9+/_-]|%2[BbFf])?"

_SEPARATOR = re.compile(r":(?:\\{0,4}/){2}|%3[Aa](?:%2[Ff]){2}")
_SCHEME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-."
_LONGEST_SCHEME = 32
_ENCODED_END = re.compile(r"""[\s"'<>&/?#@]|%2[Ff3]|%3[Ff]|$""")
_PATH = re.compile(r"[/?#]|$")
_USER = re.compile(r"[^:\[\]\s]*:(?=\S)")
_PORT = re.compile(r"\d{1,5}(?:\\{0,4}/|$)")
_IS_HOST = re.compile(r"localhost|\d{1,3}(?:\.\d{1,3}){3}")
_VERSION = re.compile(r"(?!\d+(?:\.\d+){3})v?\d|(?:latest|main|master|HEAD|[0-9a-f]{7,40})(?!\w)|sha\d+:")
_MORE_WORDS = re.compile(r"""(?: [^\s@<>(\[{"'][^\s@]*){1,2}@(?=[\w\[])""")

_AFTER_QUOTE = r"(?=[\s,;:)\]}>'\"\\]|/>|$)"
_TAG = r"[^\S ]|<(?=/?[A-Za-z!][^<>@\s]{0,64}[>\s])|>(?=[\s,;:)\]}<\"']|$)|$"
_ENDS = {
    "'": re.compile(f"'{_AFTER_QUOTE}|{_TAG}"),
    '"': re.compile(f'(?<!\\\\)"{_AFTER_QUOTE}|{_TAG}'),
    "": re.compile(f'"{_AFTER_QUOTE}|{_TAG}'),
}
"""Where a URL ends for sure, by the quotation mark before it: at that mark, unless a password goes on behind it."""


class Redactor:
    r"""Masks credentials in text that people see.

    Masked are users and passwords of URLs, and named secrets in every spelling: as they are, as in a URL
    (``%2F``, ``%2f``, ``+``), in JSON, HTML, ``repr`` and a shell, and in base64, also of ``user:secret``.

    Args:
        secrets: strings to mask wherever they stand; of a string of several lines also each line, of a URL also the password.

    >>> Redactor(["hunter2"]).mask("pip install git+https://me:pw@host/x --token hunter2")
    'pip install git+https://****@host/x --token ****'
    >>> Redactor(["p/ w"]).mask(r"p%2f+w, p\/ w, cC8gdw== and Basic bWU6cC8gdw==")
    '****, ****, **** and Basic bWU****'
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        self._needles = [needle for form in sorted(forms) for needle in _needles(form)]

    def spans(self, text: str) -> list[Span]:
        """Return where there are credentials in a text, in order; those that overlap are one."""
        # A line has none as a rule, so that the first look must be cheap.
        found = [span for needle in self._needles if needle.anchor in text for span in needle.spans(text)]
        if "@" in text or "%40" in text:
            found += _userinfo_spans(text)
        return merged(found) if found else found

    def mask(self, text: str) -> str:
        """Return the text with all credentials masked."""
        return masked(text, spans) if (spans := self.spans(text)) else text

    def mask_all(self, args: Sequence[str]) -> list[str]:
        """Return a command line with all credentials masked."""
        return [self.mask(arg) for arg in args]


def masked(text: str, spans: Iterable[Span]) -> str:
    """Return a text with a mask in the place of each span.

    >>> masked("to hunter2", [(3, 10)])
    'to ****'
    """
    pieces, end = list[str](), 0
    for begin, after in spans:
        pieces += [text[end:begin], MASK]
        end = after
    return "".join([*pieces, text[end:]])


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order, those that overlap as one.

    >>> merged([(6, 9), (0, 3), (2, 4), (4, 5)])
    [(0, 4), (4, 5), (6, 9)]
    """
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def userinfos(text: str) -> Iterator[str]:
    """Yield the user and password of each URL in a text.

    >>> list(userinfos("https://me:pw@host and ssh://git@host"))
    ['me:pw']
    """
    return (text[begin:end] for begin, end in _userinfo_spans(text))


class _Needle:
    """Something to look for.

    Args:
        anchor: what a text must contain, so that it is worth to look closer.
        pattern: how it may be spelled.
    """

    def __init__(self, anchor: str, pattern: str) -> None:
        self.anchor = anchor
        self._pattern: str | re.Pattern[str] = pattern

    def spans(self, text: str) -> Iterator[Span]:
        """Yield where it is found, overlapping with itself or not; in linear time, a line may be 64 MiB long."""
        self._pattern = pattern = re.compile(self._pattern)
        begin, end = 0, 0
        match = pattern.search(text)
        while match is not None:
            if match.start() < end:
                end = max(end, match.end())
            else:
                if end:
                    yield begin, end
                begin, end = match.span()
            match = pattern.search(text, match.start() + 1)
        if end:
            yield begin, end


def _forms(secret: str) -> set[str]:
    """Return the strings that are secret because one is: its lines, and the password if it is a URL."""
    whole = {secret, secret.strip()} if secret.strip() else set[str]()
    parts = {line.strip() for line in secret.splitlines()}
    for userinfo in userinfos(secret):
        user, _colon, password = userinfo.partition(":")
        parts |= {userinfo if password else "", password, user if not password and len(user) >= _SHORTEST_TOKEN else ""}
    if "%" in secret:
        from urllib.parse import unquote  # noqa: PLC0415  slow to import, and few secrets are quoted

        parts |= {unquote(form, errors="surrogateescape") for form in whole | parts}
    return whole | {part for part in parts if len(part.strip()) >= _SHORTEST_PART}


def _needles(form: str) -> Iterator[_Needle]:
    """Yield what to look for so as to find a secret in every spelling."""
    anchor = max(_SAFE.findall(form), key=len, default="")
    yield _Needle(anchor, "".join(map(_spellings, form)) if len(form) <= _LONGEST else re.escape(form))
    data = _bytes(form)
    if len(data) < _SHORTEST_PART or "\n" in form:
        return
    from binascii import b2a_base64  # noqa: PLC0415  most calls have no secret

    # Three bytes are four characters: what a secret looks like depends on how many bytes stand before it.
    for shift in range(3):
        text = b2a_base64(bytes(shift) + data, newline=False).decode()
        # These characters hold its bits only.
        text = text[(0, 2, 3)[shift] : (shift + len(data)) * 8 // 6]
        pattern = "".join(_IN_BASE64.get(character, character) for character in text)
        anchor = max(re.findall("[A-Za-z0-9]+", text), key=len, default="")
        yield _Needle(anchor, f"{_ONE_OF_BASE64 if shift else ''}{pattern}{_ONE_OF_BASE64}(?:=|%3[Dd]){{0,2}}")


def _spellings(character: str) -> str:
    """Return a pattern for all ways to write a character.

    >>> _spellings("x"), re.fullmatch(_spellings(" "), "%20") is not None
    ('x', True)
    """
    if _SAFE.fullmatch(character):
        return re.escape(character)
    data, number = _bytes(character), ord(character)
    utf16 = character.encode("utf-16-be", "surrogatepass").hex()
    ways = [re.escape(way) for way in _IN_SHELLS.get(character, ())]
    ways.append(f"(?i:{''.join(f'%(?:25){{0,2}}{byte:02x}' for byte in data)})")
    ways.append(f"(?i:{''.join(f'{_BACKSLASHES}u{utf16[at : at + 4]}' for at in range(0, len(utf16), 4))})")
    ways.append(f"(?i:{''.join(f'{_BACKSLASHES}x{byte:02x}' for byte in data)})")
    ways.append(f"(?i:{_BACKSLASHES}(?:x{number:02x}|U{number:08x}))")
    if character in _SHORT_ESCAPES:
        ways.append(_BACKSLASHES + re.escape(_SHORT_ESCAPES[character]))
    if character in _ENTITIES:
        ways.append(f"&(?:{_ENTITIES[character]});")
    if character == " ":
        ways.append(r"\+")
    ways.append(_BACKSLASHES if character == "\\" else re.escape(character))
    return f"(?:{'|'.join(ways)})"


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character
        return text.encode("utf-8", "surrogatepass")


def _userinfo_spans(text: str) -> Iterator[Span]:
    """Yield where the user and password of each URL are.

    They end at the ``@``, which RFC 3986 forbids within them, as it does a raw ``/``, ``?``, ``#``, quotation mark or blank,
    but people write them. So if there is a colon and what follows can't be a port, a password may have any of these, and up
    to two blanks. If it may be a port and a path (``1234/x@y``), it is a password unless the ``@`` begins a part of a path,
    or a version follows. A URL without a colon ends at a blank.
    """
    for separator, following in pairwise(chain(_SEPARATOR.finditer(text), [None])):
        assert separator is not None
        begin, stop = separator.end(), len(text) if following is None else following.start()
        if text[separator.start()] == "%":
            end, colon = text.rfind("%40", begin, _found(_ENCODED_END, text, begin, stop)), "%3"
        else:
            end, colon = _userinfo_end(text, separator.start(), begin, stop), ":"
        is_ssh = text[: separator.start()][-3:] == "ssh"
        if end > begin and (not is_ssh or text.find(colon, begin, end) >= 0):  # the user of an ssh URL is a name, such as git
            yield begin, end


def _userinfo_end(text: str, scheme_end: int, begin: int, stop: int) -> int:
    """Return where the user and password of a URL end, or -1."""
    if text.find("@", begin, stop) < 0:
        return -1
    before = text[max(0, scheme_end - _LONGEST_SCHEME) : scheme_end].rstrip(_SCHEME)
    opening = "" if before.endswith(("\\'", '\\"')) else before[-1:]
    end = _found(_ENDS.get(opening, _ENDS[""]), text, begin, stop)
    blank = text.find(" ", begin, end)
    word_end = end if blank < 0 else blank
    path = _found(_PATH, text, begin, word_end)
    at = text.rfind("@", begin, path)
    user = _USER.match(text, begin, end) if at < 0 else None
    if user is None or user.end() > path:
        return at
    port = _PORT.match(text, user.end(), min(word_end, path + 1))
    if port is None:
        at = text.find("@", begin, word_end)
        if at < 0 and (words := _MORE_WORDS.match(text, word_end, end)):
            return words.end() - 1
    elif not _IS_HOST.fullmatch(text, begin, user.end() - 1):
        at = text.find("@", begin, _found(re.compile(r"[?#]|$"), text, begin, word_end))
        if at >= 0 and (text.endswith(("/", ".git"), begin, at) or _VERSION.match(text, at + 1, end)):
            return -1
    return at if at < 0 else text.rfind("@", at, _found(_PATH, text, at, word_end))


def _found(pattern: re.Pattern[str], text: str, begin: int, stop: int) -> int:
    """Return where something is that is found at the end of the text at the latest."""
    match = pattern.search(text, begin, stop)
    return stop if match is None else match.start()
