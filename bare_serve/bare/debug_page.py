"""The page of an exception for who writes the program: what was raised, where, with which values.

What lives here: to whom it is shown. What must not: how it looks, and which values it hides, which
are those of the folder dev/. It goes to clients on this machine only, that ask for it by name, and
only without a proxy in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bare_serve.bare.response import Response
from bare_serve.dev import error_page
from bare_serve.dev.asked import Asked
from bare_serve.dev.failure import describe

if TYPE_CHECKING:
    from bare_serve.bare.request import Request

_LENGTH = "Content-Length"


def debug_page(request: Request, error: Exception) -> Response | None:
    """Return the page, JSON or text, as it is asked for; None for a client that is not here."""
    is_asgi = "type" in request.raw
    asked = (Asked.of_scope if is_asgi else Asked.of_environ)(request.raw)
    if not asked.is_local:
        return None
    rows = error_page.scope_rows if is_asgi else error_page.environ_rows
    page = error_page.Page(
        "The application has raised an exception.",
        "You see this because of Bare(debug=True), on the same machine only.",
        request=f"{request.method} {request.path}",
        received="scope" if is_asgi else "environ",
        rows=rows(request.raw),
    )
    fields, body = error_page.answer(asked.form, describe(error), page, 500)
    return Response(body, 500, [field for field in fields if field[0] != _LENGTH])
