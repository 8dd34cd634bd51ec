"""An error of ours that a script does not catch: one line, and no traceback.

The law: the error is an exception like any other for a program that catches it. Where none does,
and the program has no hook of its own for that (sys.excepthook), what is printed is what the
command prints, with the line of the program that called. Any other exception is printed as ever.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TypeVar

from bare_serve.errors import BareServeError
from bare_serve.logs import console

Error = TypeVar("Error", bound=BareServeError)


def say_in_one_line(error: Error) -> Error:
    """Have the interpreter print `error` in one line if it is never caught; return `error`."""
    before = sys.excepthook
    if before is not sys.__excepthook__:
        return error

    def hook(kind: type[BaseException], raised: BaseException, tb: TracebackType | None) -> None:
        if raised is not error:
            before(kind, raised, tb)
            return
        while tb is not None and tb.tb_next is not None and tb.tb_next.tb_next is not None:
            tb = tb.tb_next  # the last frame is of the function that was called, in this package
        place = "" if tb is None else f"{tb.tb_frame.f_code.co_filename}, line {tb.tb_lineno}: "
        # The traceback of the application, where there is one.
        console.error(f"{place}{error}", "\n".join(getattr(error, "__notes__", ())))

    sys.excepthook = hook
    return error
