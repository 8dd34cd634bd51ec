"""The table of clauses, whole.

What lives here: the rows of the specifications put together, by their ids.
"""

from __future__ import annotations

from typing import Final

from bare_serve.clauses import asgi, http, websocket, wsgi
from bare_serve.clauses.clause import Clause

CLAUSES: Final[dict[str, Clause]] = {
    row.id: row for rows in (http.ROWS, wsgi.ROWS, asgi.ROWS, websocket.ROWS) for row in rows
}
"""Each clause by its id, in the order in which docs/clauses.md has them."""
