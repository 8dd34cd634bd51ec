"""A request's conditions and its range decide what of a representation is sent (RFC 9110, 13, 14).

What lives here: validators, preconditions, ranges and the choice of a content coding, as functions
from texts to decisions. What must not: files, descriptors, clocks, answers (static.py).

A precondition that cannot be read is as good as none, except that it never makes a 304 or a 206:
what is doubtful is sent whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from bare_serve.http.date import MONTHS, format_http_date

UNCHANGED: Final = 304
FAILED: Final = 412

_ENTITY_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_ENTITY_TAGS: Final = re.compile(rf"[ \t,]*(?:{_ENTITY_TAG.pattern}[ \t]*(?:,[ \t,]*|$))+")
# Digits are bounded: a number of 5,000 digits is refused by `int`, and no file has such a place.
_RANGE: Final = re.compile(r"bytes=[ \t]*([0-9]{0,30})-([0-9]{0,30})[ \t]*", re.IGNORECASE)
_MONTH: Final = "|".join(MONTHS)
_DATE: Final = re.compile(
    rf"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<d1>[0-9]{{2}}) (?P<m1>{_MONTH}) (?P<y1>[0-9]{{4}})"
    rf"|[A-Z][a-z]{{5,8}}, (?P<d2>[0-9]{{2}})-(?P<m2>{_MONTH})-(?P<y2>[0-9]{{2}})"
    rf"|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?P<m3>{_MONTH}) (?P<d3>[0-9]{{2}}| [0-9]))"
    r" (?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})(?: GMT| (?P<y3>[0-9]{4}))"
)
_WEIGHT: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


class Validators(NamedTuple):
    """What tells a representation from others of the same resource (RFC 9110, 8.8)."""

    etag: str
    """With its quotes, and with `W/` if it is weak."""
    modified: int | None
    """Seconds since the epoch; None if another change could leave it as it is."""


class Part(NamedTuple):
    """`length` bytes from `offset` on; a length of 0 cannot be satisfied (416)."""

    offset: int
    length: int


def entity_tag(modified_ns: int, size: int, coding: str = "", *, weak: bool = False) -> str:
    """Return the entity tag of a file by its time in nanoseconds and its size in bytes."""
    mark = f"-{coding}" if coding else ""
    return f'{"W/" if weak else ""}"{modified_ns:x}-{size:x}{mark}"'


def precondition(headers: Mapping[str, str], found: Validators) -> int:
    """Return what the preconditions of a GET or HEAD make of it: 304, 412, or 0 for neither.

    In the order of RFC 9110, 13.2.2. `headers` has lower-case names.
    """
    if (tags := headers.get("if-match")) is not None:
        if not _matches(tags, found.etag, strong=True):
            return FAILED
    elif (since := headers.get("if-unmodified-since")) is not None:
        seconds = http_seconds(since)
        if seconds is not None and found.modified is not None and found.modified > seconds:
            return FAILED
    if (tags := headers.get("if-none-match")) is not None:
        return UNCHANGED if _matches(tags, found.etag, strong=False) else 0
    if (since := headers.get("if-modified-since")) is not None:
        seconds = http_seconds(since)
        if seconds is not None and found.modified is not None and found.modified <= seconds:
            return UNCHANGED
    return 0


def _matches(listed: str, etag: str, *, strong: bool) -> bool:
    """Return whether one of the listed tags is this one (RFC 9110, 8.8.3.2)."""
    if listed == etag:
        return not (strong and etag.startswith("W/"))
    if listed.strip(" \t") == "*":
        return True
    if _ENTITY_TAGS.fullmatch(listed) is None:
        return False
    tags = _ENTITY_TAG.findall(listed)
    if strong:
        return not etag.startswith("W/") and etag in tags
    opaque = etag.removeprefix("W/")
    return any(tag.removeprefix("W/") == opaque for tag in tags)


def part_asked(headers: Mapping[str, str], found: Validators, size: int) -> Part | None:
    """Return the part of `size` bytes that a GET asks for; None for all of it.

    Several ranges, another unit, and what cannot be read are answered by all of it, which RFC 9110,
    14.2 allows; so is a range whose If-Range names another representation.
    """
    text = headers.get("range")
    if text is None or (match := _RANGE.fullmatch(text)) is None:
        return None
    condition = headers.get("if-range")
    if condition is not None and not _is_same(condition.strip(" \t"), found):
        return None
    first, last = match.groups()
    if not first:
        if not last:
            return None
        count = min(int(last), size)
        return Part(size - count, count)
    offset = int(first)
    if last and int(last) < offset:
        return None  # invalid (14.1.1), not out of bounds
    end = min(int(last) + 1, size) if last else size
    return Part(offset, max(end - offset, 0))


def _is_same(condition: str, found: Validators) -> bool:
    """Return whether an If-Range holds: by a strong validator alone (RFC 9110, 13.1.5)."""
    if condition.startswith(('"', "W/")):
        return condition == found.etag and not condition.startswith("W/")
    if found.modified is None:
        return False
    return condition == format_http_date(found.modified).decode("ascii")


def http_seconds(text: str) -> int | None:
    """Return an HTTP date in seconds since the epoch; None if it is none.

    All three forms that RFC 9110, 5.6.7 has a recipient take. A year of two digits is the one that
    is at most 50 years ahead.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    found = match.groupdict()
    day, month = (
        found["d1"] or found["d2"] or found["d3"],
        found["m1"] or found["m2"] or found["m3"],
    )
    year = int(found["y1"] or found["y3"] or 0)
    if found["y2"]:
        now = datetime.now(UTC).year
        year = now - now % 100 + int(found["y2"])
        year -= 100 if year > now + 50 else 0
    hour, minute, second = (int(part) for part in found["time"].split(":"))
    try:
        moment = datetime(
            year, MONTHS.index(month) + 1, int(day), hour, minute, min(second, 59), tzinfo=UTC
        )
    except ValueError:
        return None
    return int(moment.timestamp())


def coding_asked(accepted: str, offered: tuple[str, ...]) -> str:
    """Return which of the offered codings a client likes best, "" for none (RFC 9110, 12.5.3).

    Of those that it likes alike the first one offered is taken. A coding that it likes less than
    the plain bytes, if it says so, is not.
    """
    weights: dict[str, float] = {}
    for item in accepted.lower().split(","):
        coding, *parameters = (part.strip(" \t") for part in item.split(";"))
        if coding:
            weights["gzip" if coding == "x-gzip" else coding] = _weight(parameters)
    others = weights.get("*", 0.0)
    best, most = "", weights.get("identity", 0.0)
    for coding in offered:
        weight = weights.get(coding, others)
        if weight > most or (weight == most and weight and not best):
            best, most = coding, weight
    return best


def _weight(parameters: list[str]) -> float:
    """Return the weight of an item (RFC 9110, 12.4.2); 0 for one that cannot be read."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip(" \t") == "q":
            text = value.strip(" \t")
            return float(text) if _WEIGHT.fullmatch(text) else 0.0
    return 1.0
