"""The page of an exception for who writes the program: what was raised, where, with which values.

What lives here: to whom it is shown, and what it shows. What must not: running code. It goes to
clients on this machine only, and only without a proxy in between; values whose names sound like
secrets are hidden.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

from bare_serve.bare.response import HTMLResponse, JSONResponse, Response

if TYPE_CHECKING:
    from types import FrameType

    from bare_serve.bare.request import Request

_SECRET = re.compile(
    r"cookie|auth|token|key|secret|session|passw|signature|csrf|credential|nonce|environ|scope",
    re.IGNORECASE,
)
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
# Another name may be one that a stranger's page has had lead here, which then could read the page.
_LOCAL = re.compile(r"(?:(?:.*\.)?localhost|127(?:\.[0-9]+){3}|\[::1\])(?::[0-9]*)?").fullmatch
_LONGEST = 200
_STYLE = """body{font:16px/1.5 sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}
pre{background:#f4f4f4;padding:.5rem;overflow-x:auto}mark{background:#fd9}
table{font:14px monospace;border-spacing:1rem 0}td{vertical-align:top;word-break:break-all}
details{margin:1rem 0}@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}
pre{background:#222}mark{background:#640;color:#fff}}"""


def debug_page(request: Request, error: Exception) -> Response | None:
    """Return the page, or JSON where HTML is not asked for; None for a client that is not here.

    A client is here if its address is a loopback one, the host that it asks for is this machine by
    name, and no proxy has passed the request on.
    """
    host = request.client[0] if request.client else ""
    here = host == "::1" or host.startswith(("127.", "::ffff:127."))
    if not (here and _LOCAL(request.host)) or any(name in request.headers for name in _FORWARDED):
        return None
    frames = _frames(error)
    if "text/html" not in request.header("accept"):
        trace = [f"{file}:{line} {name}()" for file, line, name, _ in frames]
        return JSONResponse({"error": f"{type(error).__name__}: {error}", "trace": trace}, 500)
    title = escape(f"{type(error).__name__}: {error}")
    shown = "".join(_frame(*each, first=index == 0) for index, each in enumerate(frames))
    fields = _table(dict(request.headers))
    return HTMLResponse(
        f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"
        f"<h1>{title}</h1><p>{escape(request.method)} {escape(request.path)}</p>{shown}"
        f"<h2>The request</h2>{fields}"
        "<p>You see this because of <code>Bare(debug=True)</code>, on the same machine only.",
        500,
        {
            "cache-control": "no-store",
            "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
        },
    )


def _frames(error: BaseException) -> list[tuple[str, int, str, FrameType]]:
    """Return file, line, name and frame of each step, innermost first, the framework's last."""
    found = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append((code.co_filename, trace.tb_lineno, code.co_qualname, trace.tb_frame))
        trace = trace.tb_next
    ours = __file__.rpartition("/")[0] + "/"
    found.reverse()
    return sorted(found, key=lambda each: each[0].startswith(ours))


def _frame(file: str, line: int, name: str, frame: FrameType, *, first: bool) -> str:
    import linecache

    source = []
    for number in range(max(1, line - 3), line + 4):
        text = escape(linecache.getline(file, number, frame.f_globals).rstrip("\n"))
        text = f"{number:5} {text}"
        source.append(f"<mark>{text}</mark>" if number == line else text)
    values = _table(frame.f_locals)
    where = f"{escape(file)}:{line} in <b>{escape(name)}</b>"
    return (
        f"<details{' open' if first else ''}><summary>{where}</summary>"
        f"<pre>{chr(10).join(source)}</pre>{values}</details>"
    )


def _table(values: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{escape(str(name))}<td>{escape(_shown(str(name), value))}"
        for name, value in values.items()
    )
    return f"<table>{rows}</table>"


def _shown(name: str, value: Any) -> str:
    if _SECRET.search(name):
        return "(hidden)"
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a repr may do anything
        text = f"(its repr raises {type(error).__name__})"
    # A value with a secret inside, such as a dictionary of settings, is hidden as a whole.
    if not isinstance(value, (str, int, float)) and _SECRET.search(text):
        return f"({type(value).__name__}, hidden: it may hold a secret)"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
