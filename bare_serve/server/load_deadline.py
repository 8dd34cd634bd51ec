"""An application that is loaded in this very process, and the time it may take: for --check.

What lives here: ending a process whose import does not end, with the stack that says where it is.
What must not: workers, whose master ends them (supervision/).

The code that does not end may swallow any exception, so none is raised: another thread says what is
to be said and ends the process. Where even that thread cannot run, because C code keeps the
interpreter to itself, faulthandler does it a moment later, in its own words.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import threading
import traceback
from collections.abc import Iterator

from bare_serve.app.tracebacks import below_us
from bare_serve.errors import AppLoadError
from bare_serve.logs import console

_SECOND_WAY = 3.0  # seconds later


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """End the process, with the exit code of an AppLoadError, if the block takes longer; 0: never.

    For the main thread.
    """
    if not seconds:
        yield
        return
    done = threading.Event()
    main = threading.get_ident()
    watcher = threading.Thread(
        target=_watch, args=(done, seconds, main), name="bare-serve-check", daemon=True
    )
    with contextlib.suppress(OSError, ValueError, AttributeError):  # standard error is closed
        faulthandler.dump_traceback_later(seconds + _SECOND_WAY, exit=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        faulthandler.cancel_dump_traceback_later()


def _watch(done: threading.Event, seconds: float, main: int) -> None:
    if done.wait(seconds):
        return
    frame = sys._current_frames().get(main)
    stack = below_us(traceback.extract_stack(frame)) if frame is not None else []
    where = "".join(traceback.format_list(stack))
    console.error(
        f"The application was not loaded within {seconds:g} s (--timeout-boot). It is at the last "
        "of these lines; code that is only for running it as a script belongs under: "
        'if __name__ == "__main__"',
        f"Stack (most recent call last):\n{where}",
    )
    os._exit(AppLoadError.exit_code)
