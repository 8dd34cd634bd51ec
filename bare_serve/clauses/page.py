"""The table of clauses as a page for users: docs/clauses.md.

What lives here: rows in, Markdown out. What must not: output, which __main__.py makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bare_serve.clauses import asgi, http, websocket, wsgi
from bare_serve.clauses.clause import Clause

_INTRODUCTION = """\
# What the specifications ask of an application

Each clause of PEP 3333 (WSGI), of the ASGI specification and of HTTP that an application, or a
middleware around one, can break. The messages of the server end with the clause that is broken.
`bare_serve.testing.lint(app)` checks all of them around any application:

    from bare_serve.testing import lint

    app = lint(app)                    # WSGI or ASGI; also around each middleware
    app = lint(app, on_advice=print)   # advice and notes to a function, instead of warnings

An **error** is what the specification forbids: the lint raises `SpecError`, an AssertionError,
and a server refuses it or carries out something else. **Advice** is what works, and most likely is
not what was meant: the lint warns with `SpecAdvice`. A **note** is what popular frameworks do as
well: it is given to `on_advice` only. Clauses marked with an asterisk are reported by the server
itself, too.

This page is made from the table by `python -m bare_serve.clauses`.
"""

_PARTS = (
    ("HTTP, for WSGI and ASGI", http.ROWS),
    ("WSGI (PEP 3333)", wsgi.ROWS),
    ("ASGI: HTTP, extensions and lifespan", asgi.ROWS),
    ("ASGI: WebSocket", websocket.ROWS),
)


def page() -> str:
    """Return the page, as docs/clauses.md has it."""
    parts = (line for title, rows in _PARTS for line in _part(title, rows))
    return "\n".join((_INTRODUCTION, *parts))


def _part(title: str, rows: Iterable[Clause]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| Clause | Weight | Where | What holds | What to do |"
    yield "| --- | --- | --- | --- | --- |"
    for row in rows:
        mark = "*" if row.reported else ""
        cells = (f"`{row.id}`{mark}", row.weight, row.place, row.expected, row.fix)
        yield f"| {' | '.join(cells)} |"
    yield ""
