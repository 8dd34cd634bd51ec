"""Validators, preconditions, ranges and codings, one line for each rule."""

from __future__ import annotations

import pytest

from bare_serve.middleware.static_conditions import (
    Part,
    Validators,
    coding_asked,
    entity_tag,
    http_seconds,
    part_asked,
    precondition,
)

AT = 784111777
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
STRONG = Validators('"ab-5"', AT)
WEAK = Validators('W/"ab-5"', None)


def test_entity_tags_tell_files_apart() -> None:
    tags = [
        entity_tag(1, 2),
        entity_tag(2, 2),
        entity_tag(1, 3),
        entity_tag(1, 2, "br"),
        entity_tag(1, 2, weak=True),
    ]
    assert len({*tags}) == len(tags)
    assert entity_tag(1, 2) == '"1-2"'
    assert entity_tag(255, 16, "gzip", weak=True) == 'W/"ff-10-gzip"'


@pytest.mark.parametrize(
    ("headers", "found", "verdict"),
    [
        ({}, STRONG, 0),
        # If-None-Match: weak comparison
        ({"if-none-match": '"ab-5"'}, STRONG, 304),
        ({"if-none-match": 'W/"ab-5"'}, STRONG, 304),
        ({"if-none-match": '"ab-5"'}, WEAK, 304),
        ({"if-none-match": 'W/"ab-5"'}, WEAK, 304),
        ({"if-none-match": '"x"'}, STRONG, 0),
        ({"if-none-match": '"x", "ab-5"'}, STRONG, 304),
        ({"if-none-match": ' ,"x" ,, W/"ab-5", '}, STRONG, 304),
        ({"if-none-match": "*"}, STRONG, 304),
        ({"if-none-match": " * "}, STRONG, 304),
        ({"if-none-match": "ab-5"}, STRONG, 0),
        ({"if-none-match": '"ab-5'}, STRONG, 0),
        ({"if-none-match": '"ab-5" "x"'}, STRONG, 0),
        ({"if-none-match": 'w/"ab-5"'}, STRONG, 0),
        ({"if-none-match": ""}, STRONG, 0),
        # ... goes before If-Modified-Since, whatever that says
        ({"if-none-match": '"x"', "if-modified-since": DATE}, STRONG, 0),
        ({"if-none-match": '"ab-5"', "if-modified-since": BEFORE}, STRONG, 304),
        # If-Modified-Since
        ({"if-modified-since": DATE}, STRONG, 304),
        ({"if-modified-since": LATER}, STRONG, 304),
        ({"if-modified-since": BEFORE}, STRONG, 0),
        ({"if-modified-since": "yesterday"}, STRONG, 0),
        ({"if-modified-since": DATE}, WEAK, 0),
        # If-Match: strong comparison, before all others
        ({"if-match": '"ab-5"'}, STRONG, 0),
        ({"if-match": '"x", "ab-5"'}, STRONG, 0),
        ({"if-match": "*"}, STRONG, 0),
        ({"if-match": '"x"'}, STRONG, 412),
        ({"if-match": 'W/"ab-5"'}, STRONG, 412),
        ({"if-match": '"ab-5"'}, WEAK, 412),
        ({"if-match": 'W/"ab-5"'}, WEAK, 412),
        ({"if-match": "ab-5"}, STRONG, 412),
        ({"if-match": '"x"', "if-none-match": '"ab-5"'}, STRONG, 412),
        ({"if-match": '"ab-5"', "if-none-match": '"ab-5"'}, STRONG, 304),
        # If-Unmodified-Since, unless there is an If-Match
        ({"if-unmodified-since": DATE}, STRONG, 0),
        ({"if-unmodified-since": LATER}, STRONG, 0),
        ({"if-unmodified-since": BEFORE}, STRONG, 412),
        ({"if-unmodified-since": "x"}, STRONG, 0),
        ({"if-match": '"ab-5"', "if-unmodified-since": BEFORE}, STRONG, 0),
    ],
)
def test_preconditions(headers: dict[str, str], found: Validators, verdict: int) -> None:
    assert precondition(headers, found) == verdict


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes=0-", Part(0, 10)),
        ("bytes=0-0", Part(0, 1)),
        ("bytes=2-4", Part(2, 3)),
        ("bytes=2-9", Part(2, 8)),
        ("bytes=2-10", Part(2, 8)),
        ("bytes=2-999999999999999999999999999", Part(2, 8)),
        ("bytes=9-", Part(9, 1)),
        ("bytes=-1", Part(9, 1)),
        ("bytes=-10", Part(0, 10)),
        ("bytes=-11", Part(0, 10)),
        ("bytes=-99999999999999999999", Part(0, 10)),
        ("Bytes=2-4", Part(2, 3)),
        ("bytes= 2-4 ", Part(2, 3)),
        # out of bounds
        ("bytes=10-", Part(10, 0)),
        ("bytes=10-20", Part(10, 0)),
        ("bytes=18446744073709551616-", Part(1 << 64, 0)),
        ("bytes=-0", Part(10, 0)),
        # all of it
        ("bytes=4-2", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("bytes=0-,0-,0-,0-", None),
        ("bytes=a-b", None),
        ("bytes=+1-2", None),
        ("bytes=1 -2", None),
        ("bytes=0x1-2", None),
        ("bytes=--2", None),
        ("bytes=1-2-3", None),
        ("bytes=\u0661-\u0662", None),
        ("bytes=" + "1" * 5000 + "-", None),
        ("items=0-1", None),
        ("0-1", None),
        ("", None),
    ],
)
def test_ranges(text: str, part: Part | None) -> None:
    assert part_asked({"range": text}, STRONG, 10) == part


def test_a_range_of_nothing() -> None:
    for text in ("bytes=0-", "bytes=-1", "bytes=0-0", "bytes=-0"):
        found = part_asked({"range": text}, STRONG, 0)
        assert found is not None
        assert found.length == 0


@pytest.mark.parametrize(
    ("condition", "found", "holds"),
    [
        ('"ab-5"', STRONG, True),
        (' "ab-5" ', STRONG, True),
        ('"x"', STRONG, False),
        ('W/"ab-5"', STRONG, False),
        ('"ab-5"', WEAK, False),
        ('W/"ab-5"', WEAK, False),
        ('"ab-5", "x"', STRONG, False),
        (DATE, STRONG, True),
        (LATER, STRONG, False),
        (BEFORE, STRONG, False),
        (DATE, WEAK, False),
        ("*", STRONG, False),
        ("", STRONG, False),
    ],
)
def test_if_range(condition: str, found: Validators, holds: bool) -> None:
    part = part_asked({"range": "bytes=0-0", "if-range": condition}, found, 10)
    assert (part is not None) is holds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (DATE, AT),
        ("Sunday, 06-Nov-94 08:49:37 GMT", AT),
        ("Sun Nov  6 08:49:37 1994", AT),
        ("Sun Nov 16 08:49:37 1994", AT + 10 * 86400),
        ("Sunday, 06-Nov-38 08:49:37 GMT", 2172646177),
        ("Sat, 31 Dec 2016 23:59:60 GMT", 1483228799),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Sun, 06 Nov 1994 08:49:37", None),
        ("Sun, 06 Nov 1994 08:49:37 UTC", None),
        ("Sun, 6 Nov 1994 08:49:37 GMT", None),
        ("Sun, 31 Feb 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None),
        (" " + DATE, None),
        ("784111777", None),
        ("", None),
    ],
)
def test_dates(text: str, seconds: int | None) -> None:
    assert http_seconds(text) == seconds


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", ""),
        ("gzip", "gzip"),
        ("br", "br"),
        ("gzip, br", "br"),
        ("gzip;q=1, br;q=0.5", "gzip"),
        ("gzip;q=0", ""),
        ("gzip;q=0.0, br;q=0", ""),
        ("gzip;q=0, *", "br"),
        ("*", "br"),
        ("*;q=0", ""),
        ("br;q=0, *;q=0.1", "gzip"),
        ("identity", ""),
        ("identity, gzip;q=0.5", ""),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip;q=2", ""),
        ("gzip;q=x", ""),
        ("gzip;q=-1", ""),
        ("gzip;q=0.1234", ""),
        ("gzip ; Q=0.5", "gzip"),
        ("gzip;level=1;q=0", ""),
        ("deflate, zstd", ""),
        ("gzipped", ""),
        (",,gzip,", "gzip"),
        (";q=1", ""),
    ],
)
def test_codings(accepted: str, coding: str) -> None:
    assert coding_asked(accepted, ("br", "gzip")) == coding


def test_only_what_is_offered_is_taken() -> None:
    assert coding_asked("br, gzip;q=0.1", ("gzip",)) == "gzip"
    assert coding_asked("br, *;q=0", ("gzip",)) == ""
    assert coding_asked("*", ()) == ""
