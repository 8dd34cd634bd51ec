"""A failure as an answer: whole and escaped HTML that asks nothing of other hosts, text, JSON."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from bare_serve.dev import error_page
from bare_serve.dev.error_page import Page, answer
from bare_serve.dev.record import APP, LIBRARY, Failure, Frame, Link

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>\"'&{x}%s"


def frame(kind: str = APP, function: str = "view", **changed: Any) -> Frame:
    lines = ("def view():", "    return 1 / 0", "")
    made = Frame(
        *("/app/views.py", 12, 12, 11, 16, function, kind, "flask" * (kind == LIBRARY)),
        first=11,
        lines=lines,
        values=(("n", "0"),),
    )
    return made._replace(**changed)


def failure(*frames: Frame, message: str = "division by zero") -> Failure:
    return Failure("", (Link("ZeroDivisionError", message, (), "", frames, ()),))


PAGE = Page("It failed.", "It heals.", '<script src="/x.js"></script>')
EVERYTHING = Page(
    *(HOSTILE, HOSTILE, ""),
    request=HOSTILE,
    received=HOSTILE,
    rows=((HOSTILE, HOSTILE),),
    xray=HOSTILE,
)


class Reader(HTMLParser):
    """What a browser makes of a page: elements in their order, and whether they are closed."""

    VOID = ("meta", "link")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def names(self) -> list[str]:
        return [tag for tag, _ in self.seen]


def html(found: Failure, page: Page = PAGE) -> tuple[dict[str, str], str]:
    fields, body = answer("html", found, page, 500)
    given = dict(fields)
    assert given["Content-Length"] == str(len(body))
    return given, body.decode()


def test_a_page_says_what_where_and_what_happens_next() -> None:
    fields, text = html(failure(frame(LIBRARY, "call"), frame()))
    assert fields["Content-Type"] == "text/html; charset=utf-8"
    reader = Reader(text)
    assert not reader.open
    assert "<title>ZeroDivisionError: division by zero</title>" in text
    assert "<mark>1 / 0</mark>" in text
    assert "1 frame of flask" in text
    for shown in ("It failed.", "It heals.", "ZeroDivisionError", "division by zero"):
        assert shown in reader.texts


def test_the_users_innermost_frame_is_first_and_open() -> None:
    frames = [frame(function=f"f{number}") for number in range(4)]
    _, text = html(failure(*frames))
    assert re.findall(r"<details class=frame( open)?><summary>.*? in <b>(\w+)</b>", text) == [
        (" open", "f3"),
        (" open", "f2"),
        ("", "f1"),
        ("", "f0"),
    ]


def test_whatever_comes_from_outside_is_escaped() -> None:
    place = frame(*(APP, HOSTILE), file=HOSTILE, lines=(HOSTILE,) * 3, values=((HOSTILE, HOSTILE),))
    link = Link(HOSTILE, HOSTILE, (HOSTILE,), "cause", (place, place._replace(kind=LIBRARY)), ())
    group = link._replace(members=((link,),))
    _, text = html(Failure(HOSTILE, (link, group)), EVERYTHING)
    reader = Reader(text)
    assert not reader.open
    assert "script" not in reader.names()
    assert "img" not in reader.names()
    assert not any(name.startswith("on") for _, attrs in reader.seen for name in attrs)


def test_details_stand_in_where_there_is_no_record() -> None:
    page = PAGE._replace(details=f"Traceback {HOSTILE}")
    _, text = html(Failure("about it", ()), page)
    reader = Reader(text)
    assert not reader.open
    assert f"Traceback {HOSTILE}" in reader.texts
    assert "about it" in reader.texts


def test_the_page_may_do_nothing_but_look_whether_it_is_mended() -> None:
    fields, text = html(failure(frame()))
    policy = fields["Content-Security-Policy"]
    style = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "script-src 'self'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    ]
    assert not re.findall(r"https?://|url\(|@import| style=| on\w+=", text)


def test_it_is_not_kept() -> None:
    fields, _ = html(failure(frame()))
    assert fields["Cache-Control"] == "no-store"
    assert fields["Vary"] == "Accept"


def test_the_page_is_for_narrow_screens_and_dark_ones_too() -> None:
    _, text = html(failure(frame()))
    assert 'content="width=device-width' in text
    assert "prefers-color-scheme: dark" in text


def test_text_is_the_traceback() -> None:
    fields, body = answer("text", failure(frame()), PAGE, 500)
    assert dict(fields)["Content-Type"] == "text/plain; charset=utf-8"
    assert body.decode().startswith("It failed.\n\nTraceback")
    assert body.endswith(b"ZeroDivisionError: division by zero\n")
    assert "Content-Security-Policy" not in dict(fields)


def test_text_without_a_record_is_the_traceback_that_there_is() -> None:
    _, body = answer("text", Failure("about it", ()), Page("It failed.", "", details="Tb\n"), 503)
    assert body == b"It failed.\n\nTb\nabout it\n"


def test_json_says_what_and_where() -> None:
    fields, body = answer("json", failure(frame()), PAGE, 500)
    assert dict(fields)["Content-Type"] == "application/json"
    found = json.loads(body)
    assert found["traceback"][-1] == "ZeroDivisionError: division by zero"
    del found["traceback"]
    assert found == {
        "status": 500,
        "error": "It failed.",
        "about": "",
        "type": "ZeroDivisionError",
        "message": "division by zero",
        "file": "/app/views.py",
        "line": 12,
        "function": "view",
    }


@pytest.mark.parametrize("form", ["html", "text", "json"])
def test_a_lone_surrogate_is_no_failure(form: Any) -> None:
    _, body = answer(form, failure(frame(), message="a\udc80"), PAGE, 500)
    assert b"udc80" in body


def test_rows_of_an_environ_hold_no_secret() -> None:
    rows = dict(
        error_page.environ_rows(
            {
                "HTTP_COOKIE": "sid=S3cr3t",
                "HTTP_AUTHORIZATION": "Bearer S3cr3t",
                "QUERY_STRING": "a=1&token=S3cr3t",
                "REQUEST_URI": "/?token=S3cr3t",
                "PATH_INFO": "/é\n",
                "wsgi.version": (1, 0),
                "app.session": {"a": "S3cr3t"},
            }
        )
    )
    assert "S3cr3t" not in str(rows)
    assert rows["PATH_INFO"] == "/\\xe9\\n"
    assert rows["wsgi.version"] == "(1, 0)"
    assert rows["QUERY_STRING"].startswith("a=1&token=<")


def test_rows_of_a_scope_hold_no_secret() -> None:
    scope = {
        "type": "http",
        "path": "/x",
        "query_string": b"token=S3cr3t",
        "headers": [(b"cookie", b"sid=S3cr3t"), (b"host", b"localhost")],
        "state": {"password": "S3cr3t"},
    }
    rows = dict(error_page.scope_rows(scope))
    assert "S3cr3t" not in str(rows)
    assert rows["headers: host"] == "localhost"
    assert rows["type"] == "http"


def test_a_huge_environ_is_bounded() -> None:
    rows = error_page.environ_rows({f"HTTP_X{number}": "x" for number in range(10_000)})
    assert len(rows) == 120
