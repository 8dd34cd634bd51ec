"""The record of a failure as an answer: a page, plain text or JSON.

What lives here: from a record and what is known of the request to bytes. What must not: to whom
they are shown (asked.py), the style sheet (page_style.py), the record itself (record.py).

The page does nothing but show: it runs no code of the request's, asks nothing of other hosts, and
its Content-Security-Policy allows one script, which looks whether the code is mended. Whatever is
not written here is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from html import escape
from itertools import groupby
from typing import Any, Final, NamedTuple

from bare_serve.dev import terminal, values
from bare_serve.dev.asked import Form
from bare_serve.dev.page_style import STYLE
from bare_serve.dev.record import APP, LEFT_OUT, Failure, Frame, Link, relative
from bare_serve.xray import redact, show

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; script-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_KINDS: Final[dict[Form, str]] = {
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
}
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_RELATIONS: Final = {
    "cause": "which was raised from",
    "context": "which was raised while this one was handled",
}
_OPEN: Final = 2
"""Frames of the user's whose source is shown without a click."""
_MOST_ROWS: Final = 120


class Page(NamedTuple):
    """What is shown besides the record."""

    heading: str
    """What has happened, in a sentence."""
    promise: str
    """What happens when the code is mended, in a sentence."""
    script: str = ""
    """The element that loads the script."""
    details: str = ""
    """A traceback as text, where there is no record."""
    request: str = ""
    """Method and target."""
    received: str = ""
    """What the application is handed: "environ" or "scope"."""
    rows: tuple[tuple[str, str], ...] = ()
    """What is in that, by name and value."""
    xray: str = ""


def answer(
    form: Form, failure: Failure, page: Page, status: int
) -> tuple[list[tuple[str, str]], bytes]:
    """Return fields and body of an answer of this status that shows a failure."""
    if form == "html":
        text = _html(failure, page)
    elif form == "json":
        text = _json(failure, page, status)
    else:
        text = _text(failure, page)
    body = text.encode("utf-8", "backslashreplace")  # a lone surrogate must not fail the page
    fields = [
        ("Content-Type", _KINDS[form]),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Vary", "Accept"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if form == "html":
        fields.append(("Content-Security-Policy", _POLICY))
    return fields, body


def _text(failure: Failure, page: Page) -> str:
    return f"{page.heading}\n\n{_traceback(failure, page)}"


def _traceback(failure: Failure, page: Page) -> str:
    details = "" if failure.chain else _COLOURS.sub("", page.details)
    return details + terminal.text(failure)


def _json(failure: Failure, page: Page, status: int) -> str:
    link = failure.chain[0] if failure.chain else None
    place = failure.place
    return json.dumps(
        {
            "status": status,
            "error": page.heading,
            "about": failure.about,
            "type": link.type if link else "",
            "message": link.message if link else "",
            "file": place.file if place else "",
            "line": place.line if place else 0,
            "function": place.function if place else "",
            "traceback": _traceback(failure, page).splitlines(),
        },
        indent=2,
    )


def environ_rows(environ: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the entries of an environ as names and values, without secrets."""
    return tuple(
        (show.printable(str(key)), _value(str(key), environ[key]))
        for key in sorted(environ, key=str)[:_MOST_ROWS]
    )


def scope_rows(scope: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the entries of a scope as names and values, without secrets; fields one by one."""
    rows = [
        (show.printable(str(key)), _value(str(key), scope[key]))
        for key in scope
        if key != "headers"
    ]
    rows += [
        (
            f"headers: {show.printable(name.decode('latin-1'))}",
            show.printable(redact.field_value(name.decode("latin-1"), value.decode("latin-1"))),
        )
        for name, value in scope.get("headers", ())
    ]
    return tuple(rows[:_MOST_ROWS])


def _value(key: str, value: Any) -> str:
    if isinstance(value, bytes):
        hide = redact.query if key == "query_string" else redact.target
        return f"b'{show.printable(hide(value.decode('latin-1')))}'"
    if isinstance(value, str):
        if key == "QUERY_STRING":
            return show.printable(redact.query(value))
        name = key.removeprefix("HTTP_").replace("_", "-")
        return show.printable(redact.field_value(name, value))
    return values.show(key, value)


# ---------------------------------------------------------------------- HTML


def _html(failure: Failure, page: Page) -> str:
    place = failure.place
    where = f"<p class=where>{_place(place)}</p>" if place is not None else ""
    return _HTML.format(
        style=STYLE,
        title=escape(failure.title or page.heading),
        heading=escape(page.heading),
        error=_error(failure),
        where=where,
        about=f"<p class=about>{escape(failure.about)}</p>" if failure.about else "",
        promise=escape(page.promise),
        chain=_chain(failure.chain, open_frames=_OPEN),
        details=_pre("Traceback", _COLOURS.sub("", page.details))
        if page.details and not failure.chain
        else "",
        request=_request(page),
        xray=_pre("X-ray", page.xray, "this request until the page was made") if page.xray else "",
        text=escape(terminal.text(failure)),
        script=page.script,
    )


def _error(failure: Failure) -> str:
    if not failure.chain:
        return ""
    link = failure.chain[0]
    return f"<h1>{escape(link.type)}</h1><pre class=message>{escape(link.message)}</pre>"


def _chain(chain: tuple[Link, ...], *, open_frames: int) -> str:
    shown = []
    for index, link in enumerate(chain):
        if index:
            relation = _RELATIONS.get(link.relation, "")
            shown.append(
                f"<section><h2>{relation}</h2><p class=earlier><b>{escape(link.type)}</b> "
                f"{escape(link.message)}</p>{_link(link, 1)}</section>"
            )
        else:
            shown.append(f"<section>{_link(link, open_frames)}</section>")
    return "".join(shown)


def _link(link: Link, open_frames: int) -> str:
    notes = "".join(f"<pre class=note>{escape(note)}</pre>" for note in link.notes)
    members = "".join(
        f"<section class=member><h2>{number} of {len(link.members)}</h2>"
        f"<p class=earlier><b>{escape(chain[0].type)}</b> {escape(chain[0].message)}</p>"
        f"{_chain(chain, open_frames=1)}</section>"
        for number, chain in enumerate(link.members, 1)
        if chain
    )
    return notes + _frames(link.frames, open_frames) + members


def _frames(frames: tuple[Frame, ...], open_frames: int) -> str:
    """Return frames, the innermost first; those of libraries folded."""
    if not frames:
        return ""
    shown = []
    for is_app, run in groupby(reversed(frames), lambda frame: frame.kind == APP):
        several = list(run)
        if is_app:
            for frame in several:
                shown.append(_frame(frame, opened=open_frames > 0))
                open_frames -= 1
        else:
            inner = "".join(f"<li>{_folded(frame)}</li>" for frame in several)
            shown.append(
                f"<details class=folded><summary>{escape(terminal.folded(several))}</summary>"
                f"<ol>{inner}</ol></details>"
            )
    return f"<div class=frames>{''.join(shown)}</div>"


def _folded(frame: Frame) -> str:
    if frame.kind == LEFT_OUT:
        return f"{frame.line} more"
    line = terminal.source_line(frame).strip()
    return f"{_place(frame)}<code>{escape(line)}</code>" if line else _place(frame)


def _frame(frame: Frame, *, opened: bool) -> str:
    source = _source(frame) if frame.lines else ""
    shown = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in frame.values
    )
    held = f"<div class=values><table>{shown}</table></div>" if shown else ""
    return (
        f"<details class=frame{' open' * opened}><summary>{_place(frame)}</summary>"
        f"{source}{held}</details>"
    )


def _place(frame: Frame) -> str:
    function = f" in <b>{escape(frame.function)}</b>" if frame.function else ""
    return (
        f'<span class=place title="{escape(frame.file)}">{escape(relative(frame.file))}'
        f"<i>:{frame.line}</i></span>{function}"
    )


def _source(frame: Frame) -> str:
    last = max(frame.end_line, frame.line)
    lines = []
    for number, line in enumerate(frame.lines, frame.first):
        text = escape(line)
        if number == frame.line:
            start, end = terminal.marked(frame)
            if 0 <= start < end:
                marked = escape(line[start:end]) or " "
                text = f"{escape(line[:start])}<mark>{marked}</mark>{escape(line[end:])}"
        hit = " class=hit" if frame.line <= number <= last else ""
        lines.append(f"<span{hit}><i>{number}</i>{text}\n</span>")
    return f"<pre class=source>{''.join(lines)}</pre>"


def _request(page: Page) -> str:
    if not page.rows:
        return ""
    rows = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in page.rows
    )
    return (
        f"<section><h2>Request <i>{escape(page.request)}</i></h2>"
        f"<details class=frame><summary>{escape(page.received)}: {len(page.rows)} entries</summary>"
        f"<div class=values><table>{rows}</table></div></details></section>"
    )


def _pre(title: str, text: str, note: str = "") -> str:
    more = f" <i>{escape(note)}</i>" if note else ""
    return f"<section><h2>{escape(title)}{more}</h2><pre class=wide>{escape(text)}</pre></section>"


_HTML: Final = """<!doctype html>
<html lang=en>
<head>
<meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel=icon href="data:,">
<style>{style}</style>
</head>
<body><main>
<header><p class=heading>{heading}</p>
{error}{where}{about}<p class=promise>{promise}</p>
<p id=mended hidden>The code has changed. <button>Send the request again</button></p></header>
{chain}{details}{request}{xray}
<section><details class=frame><summary>The same as text, to copy</summary>
<pre class=wide>{text}</pre></details></section>
<footer>This page is shown by bare-serve to this machine alone. Values whose names look like those
of secrets are hidden.</footer>
</main>{script}</body></html>
"""
