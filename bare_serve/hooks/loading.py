"""Functions of the user's that are called at points of the server's life (`--hooks`).

What lives here: loading the module, checking what it offers, calling it. What must not: deciding
when (server/server.py, server/boot.py). Each function is called with one record of plain facts;
what it raises is shown with its own traceback and stops nothing. The module is imported in the
master, before the first fork; the application is not. What it imports of the user's is imported
anew with it, or workers to come would find a package of the application already there, as it was
before.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import NamedTuple

from bare_serve.app import put_on_path
from bare_serve.app.tracebacks import exc_info, theirs
from bare_serve.errors import UsageError, nearest

MASTER_HOOKS = ("on_starting", "on_reload", "child_exit", "on_exit")
WORKER_HOOKS = ("post_fork", "worker_ready", "worker_exit")
NAMES = MASTER_HOOKS + WORKER_HOOKS
GUNICORNS = {
    "when_ready": "worker_ready", "pre_fork": "post_fork", "post_worker_init": "worker_ready",
    "worker_int": "worker_exit", "worker_abort": "child_exit", "pre_exec": "on_reload",
    "nworkers_changed": "worker_ready", "pre_request": "",
    "post_request": "", "ssl_context": "", "on_terminate": "on_exit",
    "on_dirty_starting": "", "dirty_post_fork": "", "dirty_worker_init": "",
    "dirty_worker_exit": "",
}  # fmt: skip
_MODULE = "bare_serve_hooks"
logger = logging.getLogger("bare_serve.hooks")
_brought: set[str] = set()
"""The modules in sys.modules that are there because of the hooks."""


class MasterFacts(NamedTuple):
    """What on_starting, on_reload and on_exit are given."""

    pid: int
    target: str
    """The application, as "module:attribute"."""
    addresses: tuple[str, ...]
    workers: int
    changed: tuple[str, ...] = ()
    """on_reload: the settings that are new, by the names of the file's keys."""


class ExitFacts(NamedTuple):
    """What child_exit is given: a worker that has ended."""

    master_pid: int
    pid: int
    """The one that it had; another process may have the number by now."""
    number: int
    """Its place, from 1 up."""
    reason: str
    """asked, reload, replaced, recycled (--max-requests), lifetime, memory, timeout, late, crash,
    oom, killed or boot: see docs/operations.md."""
    how: str
    """The same in words, such as "exited with code 0"."""


class WorkerFacts(NamedTuple):
    """What post_fork, worker_ready and worker_exit are given."""

    pid: int
    master_pid: int
    number: int
    """The worker's place, from 1 up; 0 with --workers 0."""
    target: str


Facts = MasterFacts | WorkerFacts | ExitFacts


class Hooks(NamedTuple):
    """The functions there are, by name."""

    functions: Mapping[str, Callable[[Facts], object]] = MappingProxyType({})

    def call(self, name: str, facts: Facts) -> None:
        """Call one, if it is there; what it raises is logged."""
        function = self.functions.get(name)
        if function is None:
            return
        try:
            function(facts)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            logger.error("The hook %s failed; the server goes on.", name, exc_info=exc_info(error))


def load_hooks(text: str | None, directory: Path) -> Hooks:
    """Import the module, anew each time, and take its functions; no text, no hooks.

    Raises:
        UsageError: it cannot be imported, or has a function that looks like a hook and is none.
    """
    if text is None:
        _forget()
        return Hooks()
    is_file = text.endswith(".py") or "/" in text
    module = _from_file(text, directory) if is_file else _from_module(text, directory)
    found = {}
    for name, value in vars(module).items():
        if not callable(value) or getattr(value, "__module__", None) != module.__name__:
            continue
        if name in NAMES:
            _check(text, name, value)
            found[name] = value
        elif name in GUNICORNS:
            instead = GUNICORNS[name]
            then = f"use {instead}" if instead else "there is nothing like it here"
            raise UsageError(f"--hooks {text}: {name} is a hook of gunicorn; {then}")
        elif name.startswith(("on_", "worker_", "post_fork", "child_")):
            hint = nearest(name, NAMES) or f"; there are {', '.join(NAMES)}"
            raise UsageError(f"--hooks {text}: there is no hook {name}{hint}")
    if not found:
        raise UsageError(f"--hooks {text}: it defines none of {', '.join(NAMES)}")
    return Hooks(MappingProxyType(found))


def _check(text: str, name: str, function: Callable[..., object]) -> None:
    if inspect.iscoroutinefunction(function):
        raise UsageError(f"--hooks {text}: {name} must be a plain function, not async")
    try:
        inspect.signature(function).bind(object())
    except TypeError:
        raise UsageError(
            f"--hooks {text}: {name} must take one argument, the facts: def {name}(facts)"
        ) from None
    except ValueError:  # no signature to be had
        pass


def _from_file(text: str, directory: Path) -> ModuleType:
    path = directory / text
    if not path.is_file():
        raise UsageError(f"--hooks {text}: there is no file {path}")
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--hooks {text}: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        with _anew(directory):
            sys.modules[_MODULE] = module  # dataclasses and pickle look there
            spec.loader.exec_module(module)
    except BaseException as error:  # noqa: BLE001
        raise _failed(text, error) from None
    return module


def _from_module(text: str, directory: Path) -> ModuleType:
    put_on_path(directory)
    importlib.invalidate_caches()
    try:
        with _anew(directory):
            sys.modules.pop(text, None)
            return importlib.import_module(text)
    except BaseException as error:  # noqa: BLE001
        if isinstance(error, ModuleNotFoundError) and f"{text}.".startswith(f"{error.name}."):
            raise UsageError(f"--hooks: there is no module {error.name!r} in {directory}") from None
        raise _failed(text, error) from None


@contextmanager
def _anew(directory: Path) -> Iterator[None]:
    """Forget what the import before this one brought in; if this one fails, all is as it was."""
    before = dict(sys.modules)
    _forget()
    kept = set(sys.modules)
    try:
        yield
    except BaseException:
        for name in _users_own(sys.modules.keys() - kept, directory):
            del sys.modules[name]
        sys.modules.update(before)
        raise
    _brought.clear()
    _brought.update(_users_own(sys.modules.keys() - kept, directory))


def _forget() -> None:
    for name in _brought:
        sys.modules.pop(name, None)


def _users_own(names: set[str], directory: Path) -> Iterator[str]:
    """Return the modules that are Python files below the directory, and not installed there."""
    root = directory.resolve()
    library = Path(inspect.__file__).resolve().parent
    for name in names:
        module = sys.modules.get(name)
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
        if name.partition(".")[0] == "bare_serve" or not (
            place := next(filter(None, places), None)
        ):
            continue
        path = Path(str(place)).resolve()
        installed = {"site-packages", "dist-packages"} & {*path.parts}
        if installed or path.is_relative_to(library) or path.suffix not in ("", ".py"):
            continue
        if path.is_relative_to(root):
            yield name


def _failed(text: str, error: BaseException) -> UsageError:
    """Its own traceback first, without our frames and the import system's."""
    lines = traceback.format_exception(type(error), error, theirs(error.__traceback__))
    shown = "".join(lines).rstrip("\n")
    return UsageError(f"--hooks {text} failed while it was imported:\n{shown}")
