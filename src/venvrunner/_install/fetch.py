"""Fetch text from a URL; also a program that reads the URL from standard input (Python 3.9+).

As a child process, it does not block an event loop and can be cancelled.
"""

import base64
import os
import ssl
import sys
import urllib.error
import urllib.request
from urllib.parse import unquote, urlsplit, urlunsplit

__tracebackhide__ = True

_TIMEOUT = 30.0
"""Seconds without any data."""
_CERTIFICATES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""The variables that installers read for a file of certificates."""


def fetch(url: str) -> str:
    """Return the text at a URL, which may contain a user and a password.

    Raises:
        OSError: the text cannot be fetched.
        UnicodeDecodeError: the text is not UTF-8.
    """
    parts = urlsplit(url)
    login, _, place = parts.netloc.rpartition("@")
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=place, fragment="")))  # noqa: S310  http or https
    if login:
        user, _, password = login.partition(":")
        token = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode("ascii")
        # The header is not sent to another host after a redirect.
        request.add_unredirected_header("Authorization", f"Basic {token}")
    file = next((os.environ[name] for name in _CERTIFICATES if os.environ.get(name)), None)
    context = ssl.create_default_context(cafile=file) if parts.scheme.lower() == "https" else None
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT, context=context) as answer:  # noqa: S310  http or https
            text: str = answer.read().decode("utf-8")
            return text
    except urllib.error.HTTPError as exc:
        exc.close()  # otherwise it keeps the connection open
        raise


def main() -> None:
    """Print the text at the URL that is read from standard input."""
    try:
        text = fetch(sys.stdin.read())
    except (OSError, ValueError) as exc:
        sys.exit(str(exc))
    sys.stdout.buffer.write(text.encode("utf-8"))


if __name__ == "__main__":
    main()
