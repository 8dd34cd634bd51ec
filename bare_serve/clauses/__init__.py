"""What the specifications ask of an application, and the errors that name it.

`table` has a row for each clause that an application, or a middleware around one, can break. The
server, the lint of `testing/` and whatever else judges an application speak from the same rows.

What lives here: from the id of a clause and what was got to a text or an exception. What must not:
the checks; they stand where the value is met.

The table is imported when the first mistake is made: a server whose application makes none never
has it in memory.
"""

from __future__ import annotations

from bare_serve.errors import ResponseError, StartResponseError


def mistake(clause: str, got: str) -> ResponseError:
    """Return the error for an application that has broken a clause.

    Args:
        clause: the id of a row of the table.
        got: what the application did, as a sentence without its full stop.

    Raises:
        KeyError: there is no such row.
    """
    return ResponseError(f"{got}\n{reference(clause)}", clause)


def misuse(clause: str, got: str) -> StartResponseError:
    """Do as `mistake` does, for arguments of `start_response`: an AssertionError as well."""
    return StartResponseError(f"{got}\n{reference(clause)}", clause)


def reference(clause: str) -> str:
    """Return a line: where the clause stands, what it says, and what to do.

    Raises:
        KeyError: there is no such row.
    """
    from bare_serve.clauses.table import CLAUSES

    row = CLAUSES[clause]
    return f"{row.place}: {row.expected} {row.fix}"
