"""Code for an x-ray that is attached, imported while the worker serves.

To import it takes a tenth of a second, for which no request is to wait: a thread does it, beside
the loop. What must not live here: what the code does (xray_attached.py).
"""

from __future__ import annotations

import contextlib
import re
import signal
import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from bare_serve import version

_VERSION = re.compile(r'^__version__ = "(.*)"', re.MULTILINE)


class Prepared:
    """The modules, as soon as they are there."""

    __slots__ = ("_failure", "_found", "_module", "_wake", "_worker")

    def __init__(self, module: str, worker: object, wake: Callable[[], None] | None) -> None:
        """Begin to import `module`, whose `begin` and `prepare` are handed the worker.

        `wake` is called, in another thread, once it is there.
        """
        self._module = module
        self._worker = worker
        self._wake = wake
        self._found: tuple[Callable[..., Any], Callable[..., Any]] | None = None
        self._failure: BaseException | None = None
        thread = threading.Thread(target=self._import, name="bare-serve-import", daemon=True)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:  # signals are for the threads that wait for them
            thread.start()
        except RuntimeError:  # the system gives no thread
            self._import()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _import(self) -> None:
        try:
            _refuse_another_version()
            module = import_module(self._module)
            module.prepare(self._worker)
            attach = import_module("bare_serve.workers.xray_attached").attach
            self._found = attach, partial(module.begin, self._worker)
        except BaseException as error:  # noqa: BLE001 (it is raised where it is wanted)
            self._failure = error
        if self._wake is not None:
            with contextlib.suppress(RuntimeError, OSError):  # the loop has ended
                self._wake()

    def is_ready(self) -> bool:
        """Return whether it is there.

        Raises:
            Exception: what it raised when it was imported, mostly ImportError or OSError.
        """
        if self._failure is not None:
            raise self._failure
        return self._found is not None

    @property
    def attach(self) -> Callable[..., Any]:
        """`xray_attached.attach`."""
        assert self._found is not None
        return self._found[0]

    @property
    def begin(self) -> Callable[..., Any]:
        """`begin` of the module, which wants the tracer."""
        assert self._found is not None
        return self._found[1]


def _refuse_another_version() -> None:
    """Import nothing that an upgrade has put in the place of what this process began with."""
    try:
        found = _VERSION.search(Path(version.__file__).read_text("utf-8"))
    except OSError:  # not from files
        return
    if found is not None and found[1] != version.__version__:
        raise ImportError(
            f"this server is of version {version.__version__}, and its files are of {found[1]} "
            "by now; USR2 replaces the server"
        )
