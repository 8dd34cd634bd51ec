"""The application behind `bare-serve --demo`: a page that shows what the callable received.

The same page twice, as `wsgi` and as `asgi` (`application` is the ASGI one). Nothing here
knows the server: both are ordinary applications, so what they show is what any application
gets. One HTML page, no external assets, everything from outside escaped; a posted body is
counted and only its first bytes are kept.
"""

from __future__ import annotations

import platform
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SHOWN_OF_BODY = 2048
# Where a server that x-rays its requests has a function that returns the text so far.
_XRAY = "bare_serve.xray"
_BLOCK = 65536
# The page asks for nothing and may do nothing but post to where it came from.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'"


class _Seen(NamedTuple):
    """One request, as the page shows it; what differs between WSGI and ASGI is settled here."""

    interface: str
    version: str
    received: str  # what the callable's argument is called
    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    rest: Mapping[str, Any]
    explained: str
    other: str
    xray: str


@dataclass(slots=True)
class _Body:
    """The size of a body and its first bytes: a big upload costs no memory."""

    size: int = 0
    pieces: int = 0
    start: bytes = b""

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        self.pieces += bool(piece)
        self.start += piece[: SHOWN_OF_BODY - len(self.start)]


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer by PEP 3333: everything arrives in `environ`."""
    body = _Body()
    while piece := environ["wsgi.input"].read(_BLOCK):
        body.add(piece)
    headers = [
        (key.removeprefix("HTTP_").replace("_", "-").lower(), value)
        for key, value in environ.items()
        if key.startswith("HTTP_") or (key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
    ]
    seen = _Seen(
        interface="WSGI",
        version=".".join(map(str, environ["wsgi.version"])),
        received="environ",
        method=environ["REQUEST_METHOD"],
        # PEP 3333 carries bytes as latin-1; people read UTF-8.
        path=_readable((environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]).encode("latin-1")),
        query=environ.get("QUERY_STRING", ""),
        headers=headers,
        rest={
            key: value
            for key, value in environ.items()
            if not key.startswith("HTTP_") and key != _XRAY
        },
        explained="WSGI is synchronous: the server called <code>wsgi(environ, start_response)"
        "</code> once, and sends whatever the call returned.",
        other="--asgi",
        xray=environ[_XRAY]() if _XRAY in environ else "",
    )
    page = _page(seen, body)
    start_response("200 OK", [(k.decode(), v.decode()) for k, v in _answer_headers(page)])
    return [] if seen.method == "HEAD" else [page]


async def asgi(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer by ASGI 3: facts of the request are in `scope`, its body comes through `receive`."""
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    if scope["type"] == "websocket":
        await receive()
        return await send({"type": "websocket.close", "code": 1000})
    body = _Body()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body.add(message.get("body", b""))
        more = message.get("more_body", False)
    seen = _Seen(
        interface="ASGI",
        version=str(scope["asgi"]["version"]),
        received="scope",
        method=scope["method"],
        path=scope["path"],
        query=_readable(scope.get("query_string", b"")),
        headers=[(_readable(name), _readable(value)) for name, value in scope["headers"]],
        rest={
            key: _without_xray(value) if key == "extensions" else value
            for key, value in scope.items()
            if key != "headers"
        },
        explained="ASGI is asynchronous: the server awaited <code>asgi(scope, receive, send)"
        "</code>; the body came as events from <code>receive()</code>, the answer went "
        "through <code>send()</code>.",
        other="--wsgi",
        xray=_xray_of(scope.get("extensions") or {}),
    )
    page = _page(seen, body)
    await send({"type": "http.response.start", "status": 200, "headers": _answer_headers(page)})
    await send({"type": "http.response.body", "body": b"" if seen.method == "HEAD" else page})
    return None


application = asgi


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


def _xray_of(extensions: Mapping[str, Any]) -> str:
    return str(extensions[_XRAY]["so_far"]()) if _XRAY in extensions else ""


def _without_xray(extensions: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in extensions.items() if name != _XRAY}


def _answer_headers(page: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", str(len(page)).encode()),
        (b"content-security-policy", _POLICY.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
    ]


def _page(seen: _Seen, body: _Body) -> bytes:
    headers = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in sorted(seen.headers)
    )
    rest = "".join(
        f"<tr><th scope=row>{escape(str(key))}</th><td>{escape(repr(value))}"
        f"<small>{escape(type(value).__name__)}</small></td></tr>"
        for key, value in sorted(seen.rest.items())
    )
    html = _HTML.format(
        style=_STYLE,
        interface=escape(f"{seen.interface} {seen.version}"),
        name=seen.interface.lower(),
        received=seen.received,
        method=escape(seen.method),
        path=escape(f"{seen.path}?{seen.query}" if seen.query else seen.path),
        explained=seen.explained,
        other=seen.other,
        headers=headers,
        header_count=len(seen.headers),
        rest=rest,
        rest_count=len(seen.rest),
        body=_body_section(body),
        xray=_xray_section(seen.xray),
        python=escape(f"{platform.python_implementation()} {platform.python_version()}"),
    )
    return html.encode("utf-8", "backslashreplace")  # a lone surrogate must not fail the page


def _body_section(body: _Body) -> str:
    if not body.size:
        return "<p>This request had no body. Send one:</p>"
    cut = f" The first {SHOWN_OF_BODY:,} bytes:" if body.size > SHOWN_OF_BODY else ""
    return (
        f"<p><b>{body.size:,}</b> byte{'s' * (body.size != 1)} of body, read in {body.pieces} "
        f"piece{'s' * (body.pieces != 1)}.{cut}</p><pre>{escape(_readable(body.start))}</pre>"
    )


def _xray_section(text: str) -> str:
    if not text:
        return ""
    return (
        "<section><h2>X-ray<i>this request until the page was made, and the one before it on your "
        f"connection</i></h2><div class=card><div class=pad><pre class=wide>{escape(text)}</pre>"
        "<p>Reload the page to see how this request went on. To see the same of your application, "
        "in the terminal: <code>bare-serve --xray app:application</code></p></div></div></section>"
    )


def _readable(data: bytes) -> str:
    return data.decode("utf-8", "replace")


_STYLE = """
:root { color-scheme: light dark; --bg: #f6f5f1; --card: #fffefb; --ink: #22211d; --soft: #6b675d;
  --line: #e4e1d7; --mark: #0b6e5b; --tint: #e3f1ec; --mono: ui-monospace, SFMono-Regular, Menlo,
  Consolas, "DejaVu Sans Mono", monospace }
@media (prefers-color-scheme: dark) { :root { --bg: #161714; --card: #1f211d; --ink: #e9e6db;
  --soft: #a09b8c; --line: #34362f; --mark: #6fd3b4; --tint: #1d3a32 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--bg); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 3.5rem 1.25rem 2rem }
h1 { font-size: 2.1rem; line-height: 1.15; letter-spacing: -.02em; margin: 0 0 1rem }
h1 span { color: var(--mark); white-space: nowrap }
.lead { max-width: 42rem; margin: 0 0 1.75rem; color: var(--soft) }
.line { display: flex; flex-wrap: wrap; gap: .6rem; align-items: center; font-family: var(--mono);
  background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--mark);
  border-radius: 8px; padding: .8rem 1rem; margin-bottom: 2.25rem; overflow-wrap: anywhere }
.line b, .tag { background: var(--tint); color: var(--mark); border-radius: 5px;
  padding: .1rem .5rem }
.tag { margin-left: auto; font-size: .85rem }
section { margin-bottom: 2.25rem }
h2 { font-size: 1.05rem; margin: 0 0 .6rem }
h2 i { font-style: normal; font-weight: 400; color: var(--soft); margin-left: .35rem }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  overflow: hidden }
.pad { padding: 1rem }
.pad > :first-child { margin-top: 0 }
table { width: 100%; border-collapse: collapse; font: .84rem/1.5 var(--mono) }
tr + tr > * { border-top: 1px solid var(--line) }
th, td { text-align: left; vertical-align: top; padding: .45rem 1rem; overflow-wrap: anywhere }
th { width: 16rem; font-weight: 500; color: var(--mark) }
small { float: right; color: var(--soft); margin-left: 1rem }
code, pre { font-family: var(--mono); font-size: .88em }
code { background: var(--tint); border-radius: 4px; padding: .08rem .3rem }
pre { background: var(--bg); border-radius: 6px; padding: .75rem; max-height: 18rem;
  overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere }
pre.wide { white-space: pre; max-height: 32rem; overflow-wrap: normal }
form { display: flex; gap: .6rem }
input { flex: 1; min-width: 0; padding: .5rem .7rem; color: inherit; background: var(--bg);
  border: 1px solid var(--line); border-radius: 6px; font: inherit }
button { padding: .5rem 1.1rem; border: 0; border-radius: 6px; background: var(--mark);
  color: var(--card); font: inherit; font-weight: 600; cursor: pointer }
:is(input, button):focus-visible { outline: 2px solid var(--mark); outline-offset: 2px }
footer { color: var(--soft); font-size: .88rem }
@media (max-width: 40rem) { th, td { display: block; width: auto; padding: .4rem 1rem }
  tr > td { border-top: 0 !important; padding-top: 0 } }
"""

_HTML = """<!doctype html>
<html lang=en>
<head>
<meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1">
<title>bare-serve: {interface}</title>
<link rel=icon href="data:,">
<style>{style}</style>
</head>
<body><main>
<h1>It works. This is <span>bare-serve</span>.</h1>
<p class=lead>This page is a small application in the place where yours will be. Below is what
the server handed it for the very request your browser just made. {explained}</p>
<div class=line><b>{method}</b> {path} <span class=tag>{interface}</span></div>
<section><h2>Headers<i>{header_count}, from your browser</i></h2>
<div class=card><table>{headers}</table></div></section>
<section><h2>Body</h2><div class=card><div class=pad>{body}
<form method=post><input name=text value="Hello, world!" aria-label="Text to send">
<button>POST it</button></form></div></div></section>
{xray}<section><h2>Everything else in <code>{received}</code><i>{rest_count} entries</i></h2>
<div class=card><table>{rest}</table></div></section>
<footer><p>Try another path or query, such as <code>/a/b?x=1</code>; restart with
<code>{other}</code> to see the other interface. To serve your own application:
<code>bare-serve app:application</code>. Running on {python}.</p></footer>
</main></body></html>
"""
