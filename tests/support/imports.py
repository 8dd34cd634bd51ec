"""Reads what the modules of a package import, from their text, without importing anything.

Every import counts: at the top, inside functions, under TYPE_CHECKING, relative or absolute, and
`import_module("...")` as far as its name is literal. `violations` holds them against the floors of
the house in docs/architecture.md and returns one sentence for each broken rule.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FLOORS: dict[str, int] = {
    **dict.fromkeys(("version", "errors"), 0),
    **dict.fromkeys(("system", "clauses", "counts"), 1),
    **dict.fromkeys(("http", "net", "app", "tls", "xray"), 2),
    **dict.fromkeys(("http1", "websocket", "logs", "middleware"), 3),
    **dict.fromkeys(("asgi", "wsgi", "ops"), 4),
    "workers": 5,
    "supervision": 6,
    **dict.fromkeys(("config", "hooks", "dev"), 7),
    "server": 8,
    "cli": 9,
    **dict.fromkeys(("__main__", "__init__", "testing", "bare"), 10),
}
"""Each folder of the package, and the modules that lie beside the folders."""

SANS_IO = (
    *("http", "http1", "websocket", "net.proxy_protocol"),
    *("xray.trace", "xray.show", "xray.redact", "xray.text"),
)
IO_MODULES = frozenset(
    ("socket", "asyncio", "threading", "_thread", "ssl", "logging", "select", "selectors")
)

# Beyond the floors: who must not know whom, although the arrow would go down.
STRANGERS: dict[str, tuple[str, ...]] = {
    "supervision": ("app", "http1", "asgi", "wsgi", "workers.asgi", "workers.wsgi"),
    "workers.asgi": ("wsgi", "workers.wsgi"),
    "workers.wsgi": ("asgi", "workers.asgi"),
    "bare": (
        *("http1", "websocket", "logs", "asgi", "wsgi", "ops", "workers", "supervision"),
        *("config", "hooks", "server", "cli", "testing"),
    ),
    "testing": (*("workers", "supervision", "config", "hooks", "server", "cli", "bare"),),
    "__main__": ("testing", "middleware", "bare"),
    "__init__": ("testing", "middleware", "bare"),
    **dict.fromkeys(("ops", "config", "hooks", "cli"), ("middleware",)),
}
# Middleware is a tower: the house does not know it, but for the one folder that puts it around
# an application.
for _room in ("asgi", "wsgi", "workers", "supervision", "testing"):
    STRANGERS[_room] = (*STRANGERS.get(_room, ()), "middleware")

# From one tower to the other: the lint as a middleware.
BRIDGES = frozenset((("middleware.linting", "testing.linting"),))

# Whom these must not even know through what they import.
STRANGERS_AFAR: dict[str, tuple[str, ...]] = {
    "supervision": ("app", "http", "http1", "websocket", "asgi", "wsgi"),
}

# What a folder's parts share does not know the parts.
SHARED: dict[str, tuple[str, ...]] = {"workers": ("workers.asgi", "workers.wsgi")}

SETTINGS = "config"
SETTINGS_FROM = 7
"""The floor from which on the settings are known."""


@dataclass(frozen=True)
class Arrow:
    """One import: `line` of `source` imports `target`, both dotted names."""

    source: str
    target: str
    line: int


Sources = Mapping[str, str]
Leaving = Mapping[str, list[Arrow]]


def read_package(root: Path) -> dict[str, str]:
    """Dotted module name -> text, for every Python file of the package at `root`."""
    sources = {}
    for path in sorted(root.rglob("*.py")):
        parts = (root.name, *path.relative_to(root).with_suffix("").parts)
        sources[".".join(parts)] = path.read_text(encoding="utf-8")
    return sources


def arrows(package: str, sources: Sources) -> list[Arrow]:
    """All imports of all modules; those of the package resolved to the module they reach."""
    found = []
    for name, text in sources.items():
        tree = ast.parse(text)
        for node in ast.walk(tree):
            for target in _targets(name, node):
                reached = _reached(target, sources) if _is_in(target, package) else target
                found.append(Arrow(name, reached, getattr(node, "lineno", 0)))
    return found


def violations(package: str, sources: Sources) -> list[str]:
    """One sentence for each broken rule."""
    found = arrows(package, sources)
    inside = [arrow for arrow in found if _is_in(arrow.target, package)]
    return [
        *_without_floor(sources),
        *_without_docstring(sources),
        *(trouble for arrow in inside if (trouble := _judge(arrow))),
        *_impure(sources, _by_source(found)),
        *_strangers_afar(sources, _by_source(inside)),
        *_cycles(sources, _by_source(inside)),
    ]


def _by_source(found: list[Arrow]) -> Leaving:
    """The arrows that leave each module."""
    leaving: dict[str, list[Arrow]] = {}
    for arrow in found:
        leaving.setdefault(arrow.source, []).append(arrow)
    return leaving


def _targets(source: str, node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            home = source.split(".")[: -node.level]
            base = ".".join([*home, *filter(None, [node.module])])
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and node.args:
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        first = node.args[0]
        if called in ("import_module", "__import__"):
            if isinstance(first, ast.Constant):
                yield str(first.value)
            elif isinstance(first, ast.JoinedStr) and isinstance(first.values[0], ast.Constant):
                yield str(first.values[0].value).rpartition(".")[0]  # the package is known


def _is_in(target: str, package: str) -> bool:
    return target == package or target.startswith(package + ".")


def _reached(target: str, sources: Sources) -> str:
    """The module that `target` (a module, or a name inside one) leads to."""
    name = target
    while name:
        for module in (name, name + ".__init__"):
            if module in sources:
                return module
        name = name.rpartition(".")[0]
    return target


def _part(module: str) -> str:
    """The part of the house a module belongs to: `pkg.http1.head` -> `http1`."""
    return module.split(".")[1]


def _floor(module: str) -> int | None:
    return FLOORS.get(_part(module))


def _without_floor(sources: Sources) -> list[str]:
    return [f"{name} has no floor" for name in sources if _floor(name) is None]


def _without_docstring(sources: Sources) -> list[str]:
    return [
        f"{name} does not open with a docstring"
        for name, text in sources.items()
        if not ast.get_docstring(ast.parse(text))
    ]


def _judge(arrow: Arrow) -> str | None:
    where = f"{arrow.source}:{arrow.line} imports {arrow.target}"
    here, there = _floor(arrow.source), _floor(arrow.target)
    if here is None or there is None:
        return None if here is None else f"{where}, which has no floor"
    if (arrow.source.partition(".")[2], arrow.target.partition(".")[2]) in BRIDGES:
        return None
    if _part(arrow.target) == SETTINGS and here < SETTINGS_FROM:
        return f"{where}: settings stay above floor {SETTINGS_FROM}, take a slice of them"
    if there > here:
        return f"{where}: an arrow from floor {here} up to floor {there}"
    in_a_package = arrow.target.count(".") > 1  # a single module serves its whole floor
    if there == here and _part(arrow.source) != _part(arrow.target) and in_a_package:
        return f"{where}: neighbours on floor {here} do not know each other"
    for room, stranger in _strangers(arrow.source.partition(".")[2]):
        if _is_in(arrow.target.partition(".")[2], stranger):
            return f"{where}: {room} does not know {stranger}"
    return None


def _strangers(source: str) -> Iterator[tuple[str, str]]:
    """Which part of the house `source` is in, and whom that part must not know."""
    for room, strangers in STRANGERS.items():
        if _is_in(source, room):
            yield from ((room, stranger) for stranger in strangers)
    for room, parts in SHARED.items():
        if _is_in(source, room) and not any(_is_in(source, part) for part in parts):
            yield from ((room, part) for part in parts)


def _impure(sources: Sources, leaving: Leaving) -> Iterator[str]:
    """Sans-IO modules that reach an I/O module, by themselves or through another of ours."""
    for name in sources:
        if not any(_is_in(name.partition(".")[2], room) for room in SANS_IO):
            continue
        seen, queue = {name}, [name]
        while queue:
            module = queue.pop()
            for arrow in leaving.get(module, ()):
                if arrow.target.split(".")[0] in IO_MODULES:
                    yield f"{name} is sans-IO but {module}:{arrow.line} imports {arrow.target}"
                elif arrow.target in sources and arrow.target not in seen:
                    seen.add(arrow.target)
                    queue.append(arrow.target)


def _strangers_afar(sources: Sources, leaving: Leaving) -> Iterator[str]:
    """Modules that reach a stranger through others, by names for types too."""
    for name in sources:
        for room, strangers in STRANGERS_AFAR.items():
            if not _is_in(name.partition(".")[2], room):
                continue
            for arrow in _reachable(name, leaving):
                target = arrow.target.partition(".")[2]
                if any(_is_in(target, stranger) for stranger in strangers):
                    yield f"{name} reaches {arrow.target}: {arrow.source} imports that one"


def _reachable(name: str, leaving: Leaving) -> Iterator[Arrow]:
    """Each arrow that leaves a module, or a module that it reaches.

    To import a module is to run the `__init__` of its folder, too. The front door is left out: each
    module of the package has passed it, and it imports late.
    """
    seen: set[str] = set()
    queue = [name]
    while queue:
        module = queue.pop()
        if module in seen:
            continue
        seen.add(module)
        if module.count(".") > 1:
            queue.append(f"{module.rpartition('.')[0].removesuffix('.__init__')}.__init__")
        for arrow in leaving.get(module, ()):
            yield arrow
            queue.append(arrow.target)


def _cycles(sources: Sources, leaving: Leaving) -> Iterator[str]:
    """Modules that reach themselves again.

    A package's `__init__` gathers its modules and is left out. What stands in a function or under
    TYPE_CHECKING counts, or both would be ways to hide a circle.
    """
    after = {name: {a.target for a in leaving.get(name, ())} - {name} for name in sources}
    for name in sources:
        seen: set[str] = set()
        queue = [] if name.endswith(".__init__") else list(after[name])
        while queue:
            module = queue.pop()
            if module not in seen and not module.endswith(".__init__"):
                seen.add(module)
                queue.extend(after.get(module, ()))
        if name in seen:
            yield f"{name} imports itself in a circle"
