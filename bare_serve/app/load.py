"""Importing the target and arriving at an application: runs in the worker.

Two kinds of failure must never be mixed up. The target may be wrong (no such module, no such
attribute): one sentence with near names. Or the application's own code failed (at import, in
a factory): its traceback, whole, less the frames that are only ours and the import system's.
The traceback distinguishes them: if no frame in it is the application's, the target is
what was wrong.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from bare_serve.app import serving_itself
from bare_serve.app.detect import Interface, detect, not_callable, peek
from bare_serve.app.naming import (
    APP_NAMES,
    FACTORY_NAMES,
    Arguments,
    Target,
    check_target,
    is_file,
    module_names,
    read_directory,
)
from bare_serve.app.tracebacks import note_own, theirs
from bare_serve.errors import AppLoadError, UsageError, did_you_mean, near

T = TypeVar("T")

_FLAGS: dict[str, tuple[Interface, str]] = {
    "asgi": ("asgi", "--asgi"),
    "wsgi": ("wsgi", "--wsgi"),
    "asgi2": ("asgi2", "--interface asgi2"),
}


class LoadedApp(NamedTuple):
    """An application ready to be called; `target` as finally taken, `how` it was detected."""

    app: Callable[..., Any]
    interface: Interface
    target: str
    how: str
    direct: Callable[..., Any] | None = None
    """Finds answers that need no call of it (http/direct.py)."""


def load(
    target: str,
    *,
    app_dir: Path,
    factory: bool = False,
    interface: str = "auto",
    on_path: bool = True,
) -> LoadedApp:
    """Import `target` with `app_dir` first on sys.path; not `on_path`: with sys.path as it is.

    AppLoadError when there is no application to be had, UsageError when the target or the
    directory is no such thing (as check_target says, which the master may ask beforehand).
    """
    parsed = check_target(target, app_dir)
    if on_path:
        put_on_path(app_dir)
    importlib.invalidate_caches()
    with serving_itself.refused():
        if parsed.is_file:
            module = _import_file(_file_of(parsed, app_dir))
        else:
            module = _import_module(parsed.source, app_dir)
    note_own(peek(module, "__file__") or "")
    attribute = parsed.attribute or _choose(module, parsed, factory, interface)
    taken = parsed.with_attribute(attribute)
    app = _walk(module, attribute, parsed, app_dir)
    if parsed.arguments is not None:
        app = _make(app, f"the factory '{taken}'", parsed.arguments)
        return _told(app, f"what the factory '{taken}' returned", interface, taken)
    return load_object(app, factory=factory, interface=interface, target=taken)


def load_attribute(text: str, app_dir: Path) -> object:
    """Import what "module:attribute" names, whatever it is, such as a middleware.

    AppLoadError and UsageError as of `load`.
    """
    parsed = check_target(text, app_dir)
    if parsed.attribute is None or parsed.arguments is not None:
        raise UsageError(f"'{text}' names nothing to import: write it as module:attribute")
    if parsed.is_file:
        module = _import_file(_file_of(parsed, app_dir))
    else:
        module = _import_module(parsed.source, app_dir)
    return _walk(module, parsed.attribute, parsed, app_dir)


def guarded(call: Callable[[], T], subject: str, when: str) -> T:
    """Call the user's code; AppLoadError, with its own traceback, if it fails `when`."""
    return _guarded(call, subject, when)


def load_object(
    app: object, *, factory: bool = False, interface: str = "auto", target: str = "the application"
) -> LoadedApp:
    """Call `app` if it is a factory, then find out the interface of what there is."""
    name = "the application" if target == "the application" else f"'{target}'"
    if factory:
        maker = f"the factory {name}".removesuffix(" the application")
        app, name = _make(app, maker), f"what {maker} returned"
    return _told(app, name, interface, target)


def _told(app: object, name: str, interface: str, target: str) -> LoadedApp:
    """Return the application with its interface: the one asked for, else the detected one."""
    if not callable(app):
        raise AppLoadError(not_callable(app, name))
    if interface in _FLAGS:
        known, flag = _FLAGS[interface]
        return LoadedApp(app, known, target, f"asked by {flag}")
    detection = detect(app, name)
    return LoadedApp(app, detection.interface, target, detection.how)


def put_on_path(directory: Path) -> None:
    """Make `directory` the first place imports look in."""
    # The library's own is taken before: others of the library import it later, and there often is
    # a file of this name beside an application.
    import random  # noqa: F401

    text = str(directory.resolve())
    if sys.path[:1] != [text]:
        sys.path.insert(0, text)


def _import_module(name: str, app_dir: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except BaseException as exc:  # noqa: BLE001 - sys.exit() and Ctrl-C are failures here too
        missing = exc.name or "" if isinstance(exc, ModuleNotFoundError) else ""
        if theirs(exc.__traceback__) is None and f"{name}.".startswith(f"{missing}."):
            raise AppLoadError(_no_module(name, missing, app_dir)) from None
        raise _failed(exc, f"'{name}'", "while it was imported") from None


def _no_module(name: str, missing: str, app_dir: Path) -> str:
    parent, _, last = missing.rpartition(".")
    package = sys.modules.get(parent)
    if package is not None and peek(package, "__path__") is None:
        return f"There is no module '{name}': '{parent}' is a single file, not a package" + (
            did_you_mean([f"{parent}:{last}"] if peek(package, last) is not None else [])
        )
    prefix, rest = f"{parent}." if parent else "", name[len(missing) :]
    folders = [Path(p) for p in package.__path__] if package is not None else [app_dir]
    names = [n for folder in folders for n in module_names(_entries(folder), folder)]
    where = f"in {', '.join(map(str, folders))}"
    if (close := near(last, names)) or not names:
        advice = did_you_mean(f"{prefix}{choice}{rest}" for choice in close)
        return f"There is no module '{missing}' {where}{advice}"
    return f"There is no module '{missing}' {where}; there are: {', '.join(sorted(names)[:8])}"


def _entries(folder: Path) -> list[str]:
    try:
        return read_directory(folder, "the directory")
    except UsageError:
        return []


def _file_of(target: Target, app_dir: Path) -> Path:
    """Return the path as seen from app_dir, else from the current directory (as shells do)."""
    for path in (app_dir / target.source, Path(target.source)):
        if is_file(path):
            return path.resolve()
    missing = app_dir / target.source
    try:
        entries = read_directory(missing.parent, "the directory")
    except UsageError as exc:
        raise AppLoadError(f"There is no file {missing}: {exc}") from None
    close = near(missing.name, (entry for entry in entries if entry.endswith(".py")))
    choices = [str(Path(target.source).parent / name) for name in close]
    raise AppLoadError(f"There is no file {missing}{did_you_mean(choices)}")


def _import_file(path: Path) -> ModuleType:
    """Import a file under the name it would have if imported, so that it can import its
    neighbours, relatively if it is in a package; under a name of its own where that is taken."""
    parts, root = [path.stem] if path.stem != "__init__" else [], path.parent
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    put_on_path(root)
    run = partial(_run_file, path, ".".join(parts))
    return _guarded(run, str(path), "while it was imported")


def _run_file(path: Path, name: str) -> ModuleType:
    importable = path.stem.isidentifier() and path.stem != "__main__"
    spec = importlib.util.find_spec(name) if importable else None
    if spec is not None and spec.origin and Path(spec.origin).resolve() == path:
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(f"bare_serve_app_{path.stem}", path)
    assert spec is not None  # the suffix is .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]  # as import does
        raise
    return module


def _choose(module: ModuleType, target: Target, factory: bool, interface: str) -> str:
    """Which attribute a module without one means: the first of the usual names that can be
    called, or with a flag the first that is what the flag says."""
    names = (*FACTORY_NAMES, *APP_NAMES) if factory else APP_NAMES
    # Modules may have a __getattr__ of their own, which is the application's code.
    held = {name: _guarded(partial(getattr, module, name, None), name) for name in names}
    usable = [name for name, value in held.items() if callable(value)]
    if interface in _FLAGS and not factory:
        for name in usable:
            if _speaks(held[name], interface):
                return name
    if usable:
        return usable[0]
    present = [name for name, value in held.items() if value is not None]
    if present:
        raise AppLoadError(not_callable(held[present[0]], f"'{target.source}:{present[0]}'"))
    message = f"'{target.source}' ({_origin(module)}) has none of {', '.join(names)}"
    for name in FACTORY_NAMES:
        if callable(peek(module, name)):
            raise AppLoadError(f"{message}; did you mean '{target.source}:{name}' with --factory?")
    also = ""
    if hasattr(module, "__path__"):  # what stands in files of the package has another name
        also = f"; '{target.source.replace('.', '/')}/' is for what is found in it"
    raise AppLoadError(f"{message}: name the attribute, as in '{target.source}:name'{also}")


def _speaks(app: object, interface: str) -> bool:
    try:
        return detect(app).interface == interface
    except AppLoadError:
        return False


def _walk(module: ModuleType, dotted: str, target: Target, app_dir: Path) -> object:
    value: object = module
    done: list[str] = []
    for name in dotted.split("."):
        try:
            value = getattr(value, name)
        except AttributeError as exc:
            # A property or a descriptor that failed exists, so it is the application's failure.
            if inspect.getattr_static(value, name, None) is not None:
                raise _failed(exc, f"'{target.source}:{dotted}'", "while it was read") from None
            raise AppLoadError(_no_attribute(value, name, done, target, app_dir)) from None
        except BaseException as exc:  # noqa: BLE001 - whatever their code raised
            raise _failed(exc, f"'{target.source}:{dotted}'", "while it was read") from None
        done.append(name)
    return value


def _no_attribute(holder: object, name: str, done: list[str], target: Target, app_dir: Path) -> str:
    path = ".".join(done)
    if not isinstance(holder, ModuleType) or done:
        choices = [f"{target.source}:{path}.{n}" for n in near(name, _public(holder))]
        kind = type(holder).__name__
        return f"'{target.source}:{path}' ({kind}) has no attribute '{name}'{did_you_mean(choices)}"
    message = f"'{target.source}' ({_origin(holder)}) has no attribute '{name}'"
    if _is_shadowed(holder, target, app_dir):
        return (
            f"{message}: Python's own module of that name came first, before the one in "
            f"{app_dir}; did you mean '{target.source}.py:{name}'?"
        )
    if peek(holder, "__path__") and importlib.util.find_spec(f"{holder.__name__}.{name}"):
        return f"{message}{did_you_mean([f'{target.source}.{name}'])}"
    choices = near(name, _public(holder)) or [
        n for n in (*APP_NAMES, *FACTORY_NAMES) if callable(peek(holder, n))
    ]
    return f"{message}{did_you_mean(target.with_attribute(n) for n in choices)}"


def _is_shadowed(module: ModuleType, target: Target, app_dir: Path) -> bool:
    local = app_dir / f"{target.source}.py"
    if target.is_file or not is_file(local):
        return False
    return local.resolve() != Path(module.__file__ or "/").resolve()


def _public(holder: object) -> list[str]:
    try:
        return [name for name in dir(holder) if not name.startswith("_")]
    except Exception:  # noqa: BLE001 - then there are no names to offer
        return []


def _origin(module: ModuleType) -> str:
    if file := peek(module, "__file__"):
        return str(file)
    return "a directory without __init__.py" if peek(module, "__path__") else "built into Python"


def _make(factory: object, name: str, arguments: Arguments = Arguments("")) -> object:  # noqa: B008
    if not callable(factory):
        raise AppLoadError(not_callable(factory, name))
    call = partial(factory, *arguments.positional, **arguments.keywords)
    try:
        inspect.signature(factory).bind(*call.args, **call.keywords)
    except TypeError as exc:
        how = "with these arguments" if call.args or call.keywords else "without arguments"
        raise AppLoadError(f"{name} is called {how}, but that fails: {exc}") from None
    except ValueError:  # a builtin without a signature
        pass
    app: object = _guarded(call, name, "while it was called")
    if inspect.iscoroutine(app):
        app.close()
        raise AppLoadError(f"{name} is a coroutine function; it must be a plain one")
    return app


def _guarded(call: Callable[[], T], subject: str, when: str = "while it was read") -> T:
    try:
        return call()
    except BaseException as exc:  # noqa: BLE001 - whatever their code raised
        raise _failed(exc, subject, when) from None


def _failed(exc: BaseException, subject: str, when: str) -> AppLoadError:
    """Return the application's failure as our error, with its traceback as Python prints it."""
    if isinstance(exc, AppLoadError):  # ours, raised where the application did what cannot be
        return exc
    frames = theirs(exc.__traceback__)
    if isinstance(exc, OSError) and frames is None and exc.filename:
        return AppLoadError(f"{subject} cannot be read: {exc.filename}: {exc.strerror}")
    details = "".join(traceback.format_exception(type(exc), exc, frames))
    if isinstance(exc, SystemExit):
        why = (
            f"called sys.exit({exc.code!r}) {when}; code that is only for running it as a "
            'script belongs under: if __name__ == "__main__"'
        )
    elif isinstance(exc, KeyboardInterrupt):
        why = f"was interrupted {when}"
    elif isinstance(exc, ModuleNotFoundError) and exc.name:
        why = (
            f"failed {when}: it needs the module '{exc.name}', which this Python does not have "
            f"({sys.executable}); install it there, or run bare-serve from the application's "
            "own environment"
        )
    else:
        why = f"raised {type(exc).__name__} {when}, see its traceback"
    return AppLoadError(f"{subject} {why}", details, exc)
