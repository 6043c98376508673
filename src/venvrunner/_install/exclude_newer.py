"""The time limit for releases (``exclude_newer=``), in the one form that both installers read."""

import re
from typing import TYPE_CHECKING

from venvrunner.exceptions import InvalidRequirementError

__tracebackhide__ = True

if TYPE_CHECKING:
    from datetime import date, datetime, timedelta

_DAYS = re.compile(r"P(?P<days>\d{1,5})D", re.ASCII)


def cutoff(value: "str | date | timedelta", now: "datetime | None" = None) -> str:
    """Return the time before which a release must have been uploaded (RFC 3339, in UTC).

    Installers disagree about a date without a time and a time without a zone, so neither reaches them.

    Args:
        value: a time, a date (its start in UTC), or an age; a ``str`` contains one of these in ISO 8601 form.
        now: the time that an age is subtracted from; default: the current time.

    Raises:
        TypeError: *value* has another type.
        InvalidRequirementError: *value* is not a time, has no time zone, or is a negative age.

    >>> cutoff("2026-01-31"), cutoff("2026-01-31T12:00:00+02:00")
    ('2026-01-31T00:00:00Z', '2026-01-31T10:00:00Z')
    """
    from datetime import UTC, date, datetime, timedelta  # few need it

    given = value
    if isinstance(value, str):
        value = _read(value)
    try:
        if isinstance(value, timedelta):
            if value < timedelta():
                msg = f"exclude_newer must not be a negative age, not {given!r}."
                raise InvalidRequirementError(msg)
            value = (now or datetime.now(UTC)) - value
        elif not isinstance(value, date):
            msg = f"exclude_newer must be a str, a datetime, a date or a timedelta, not {type(value).__name__}."
            raise TypeError(msg)
        elif not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        elif value.tzinfo is None:
            msg = f"exclude_newer needs a time zone, and {given!r} has none. Add one, such as 'Z' or datetime.UTC."
            raise InvalidRequirementError(msg)
        return f"{value.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()}Z"
    except OverflowError:
        msg = f"exclude_newer is {given!r}, which is before the year 1."
        raise InvalidRequirementError(msg) from None


def shown_cutoff(value: "str | date | timedelta") -> str:
    """Return a time limit as a person would type it; an age stays an age, so that it is the same in each call.

    >>> from datetime import timedelta
    >>> shown_cutoff(timedelta(days=7)), shown_cutoff("P7D"), shown_cutoff("2026-01-31")
    ('P7D', 'P7D', '2026-01-31T00:00:00Z')
    """
    from datetime import timedelta  # few need it

    limit = cutoff(value)
    if isinstance(value, str) and _DAYS.fullmatch(value):
        return value
    if isinstance(value, timedelta):
        return f"P{value.days}D" + (f"T{value.seconds}S" if value.seconds else "")
    return limit


def _read(text: str) -> "date | timedelta":
    from datetime import date, datetime, timedelta  # few need it

    if match := _DAYS.fullmatch(text):
        return timedelta(days=int(match["days"]))
    for kind in (date, datetime):
        try:
            return kind.fromisoformat(text)
        except ValueError:
            continue
    msg = (
        f"exclude_newer is {text!r}, which is not a time. "
        "Use a form of ISO 8601, such as '2026-01-31', '2026-01-31T12:00:00Z' or 'P7D' for an age of seven days."
    )
    raise InvalidRequirementError(msg)
