"""Times in logs: one zone for all lines of a server, whatever the application makes of TZ."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bare_serve.logs import zone
from tests.support import RawClient, eventually, serve

MIDSUMMER = 1_782_000_000
DAY = 86400


@pytest.fixture
def tz(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """For changing TZ; afterwards the process has its own zone, and none is fixed."""
    try:
        yield monkeypatch
    finally:
        monkeypatch.undo()
        time.tzset()
        zone._since.clear()
        zone._offsets.clear()


def _set(tz: pytest.MonkeyPatch, name: str) -> None:
    tz.setenv("TZ", name)
    time.tzset()


RULES = [
    "UTC0",
    "IST-5:30",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "CST6CDT,M3.2.0,M11.1.0",
    "LHST-10:30LHDT-11,M10.1.0,M4.1.0",  # half an hour of summer, in the south
    "Africa/Casablanca",  # a month of winter in the middle of summer, if tzdata is there
]


@pytest.mark.parametrize("name", RULES)
def test_the_zone_is_that_of_the_start_for_years(name: str, tz: pytest.MonkeyPatch) -> None:
    hours = [MIDSUMMER + hour * 3600 + second for hour in range(24 * 365 * 3) for second in (-1, 0)]
    _set(tz, name)
    zone.fix(MIDSUMMER)
    wanted = [time.strftime("%Y-%m-%d %H:%M:%S%z", time.localtime(now)) for now in hours]
    _set(tz, "NZST-12NZDT,M9.5.0,M4.1.0/3")
    for now, text in zip(hours, wanted, strict=True):
        _, offset = zone.local_time(now)
        sign, minutes = "-" if offset < 0 else "+", abs(offset) // 60
        assert f"{zone.stamp(now)}{sign}{minutes // 60:02}{minutes % 60:02}" == text


def test_beyond_what_is_known_the_zone_is_the_process_s_own(tz: pytest.MonkeyPatch) -> None:
    _set(tz, "IST-5:30")
    zone.fix(MIDSUMMER)
    _set(tz, "UTC0")
    assert zone.local_time(MIDSUMMER - DAY)[1] == 19800  # a clock that is set back a little
    assert zone.local_time(MIDSUMMER - 400 * DAY)[1] == 0
    assert zone.local_time(MIDSUMMER + 9000 * DAY)[1] == 0
    zone.fix(MIDSUMMER)
    assert zone.local_time(MIDSUMMER)[1] == 0


APP = """
import locale, logging, os, time
os.environ["TZ"] = "CST6"
time.tzset()
locale.setlocale(locale.LC_ALL, "C")
def app(environ, start_response):
    if environ["PATH_INFO"] == "/boom":
        raise RuntimeError("boom")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.mark.parametrize("how", [("--workers", "2"), ("--workers", "0"), ("--preload",)])
@pytest.mark.parametrize("place", ["environment", "env-file"])
def test_all_lines_of_a_server_have_one_zone(
    how: tuple[str, ...], place: str, tmp_path: Path
) -> None:
    """The application goes west; the server was told to be in the east."""
    env = {"TZ": "JST-9"}
    if place == "env-file":
        (tmp_path / "env").write_text("TZ=JST-9\n")
        how, env = (*how, "--env-file", "env"), {"TZ": None}
    with serve(
        *("app:app", *how, "--access-log-format", "%(t)s %(status)s"),
        cwd=tmp_path, source=APP, env=env,
    ) as server:  # fmt: skip
        for target in (b"/", b"/boom"):
            with RawClient(server.address) as client:
                client.send(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
                client.response()
        eventually(lambda: server.stdout.count("\n") == 2, "two lines of access log")
        assert server.stop() == 0
        lines = re.findall(r"^\[(\S+) \+0900\] \d+$", server.stdout, re.MULTILINE)
        messages = re.findall(r"^(\d+-\d+-\d+ \d+:\d+:\d+) [A-Z]+ \[", server.stderr, re.MULTILINE)
    times = [datetime.strptime(line, "%d/%b/%Y:%H:%M:%S") for line in lines]
    times += [datetime.strptime(line, "%Y-%m-%d %H:%M:%S") for line in messages]
    assert len(lines) == 2
    assert messages
    there = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=9)
    assert all(abs(there - each) < timedelta(minutes=10) for each in times), times
