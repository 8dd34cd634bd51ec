"""The router: a path leads to one route, the same in whatever order the routes were added.

What lives here: a tree of segments, and which of several routes wins. What must not: the grammar of
templates (templates.py), and what is answered where there is no route (misses.py).

Segment by segment, from the left, what is specific comes before what is general: literal text, then
parameters by the rank of their converters, then what takes all the rest: a parameter of kind path,
a mount. If that leads nowhere for the method, the next one is tried. So a lookup costs what the
path is long, not how many routes there are.
"""

from __future__ import annotations

from collections.abc import Callable

from bare_serve.bare.templates import Segment, parse

TYPE_CHECKING = False  # as in typing, which takes 5 ms
if TYPE_CHECKING:
    from typing import Any

ANY = "*"
"""The method of a mount, which takes each one."""


class Route:
    """A template, a method and what answers.

    Attributes:
        place: the file and the line of the handler, for messages.
        plan: see plan.py; `replan` makes it anew.
        asgi, wsgi: how the two interfaces serve it, made when they first do.
    """

    __slots__ = (
        *("asgi", "handler", "max_body", "method", "name", "names", "origins", "place"),
        *("plan", "replan", "segments", "template", "wsgi"),
    )

    def __init__(self, method: str, template: str, handler: Any, place: str) -> None:
        """Parse the template; ValueError as `templates.parse` says."""
        self.method = method
        self.template = template
        self.handler = handler
        self.place = place
        self.segments = parse(template)
        self.names = tuple(name for segment in self.segments for name in segment.names)
        self.name = ""
        self.max_body = 0
        self.origins: tuple[str, ...] = ()
        self.plan: Any = None
        self.replan: Callable[[], Any] = lambda: None
        self.asgi: Callable[..., Any] | None = None
        self.wsgi: Callable[..., Any] | None = None

    def __repr__(self) -> str:
        return f"<Route {self.method} {self.template}>"


class _Node:
    """Where a path has come to after some segments."""

    __slots__ = ("literals", "mount", "parameters", "rest", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        # With each segment: its matcher, and the conversion of one parameter that is all of it.
        self.parameters: list[tuple[Segment, _Node, Any, Any]] = []
        self.rest: tuple[Segment, _Node] | None = None
        self.routes: dict[str, Route] = {}
        self.mount: Route | None = None


class Router:
    """Routes by path and method."""

    __slots__ = ("_fixed", "_plain", "_root", "routes")

    def __init__(self) -> None:
        """Begin without a route."""
        self.routes: list[Route] = []
        self._root = _Node()
        self._fixed: dict[str, dict[str, Route]] = {}
        # By their text, the nodes behind nothing but text: most parameters are the last segment.
        self._plain: dict[str, _Node] = {"": self._root}

    def add(self, route: Route) -> None:
        """Add a route.

        Raises:
            ValueError: another route has the same method and paths.
        """
        node, text, is_plain = self._root, "", True
        for segment in route.segments:
            node = _child(node, segment)
            is_plain = is_plain and not segment.names
            if is_plain:
                text += "/" + segment.text
                self._plain[text] = node
        known = node.routes.get(route.method)
        if known is not None and known.method == route.method:
            raise ValueError(
                f"{route.method} {route.template} of {route.place} is already "
                f"{known.template} of {known.place}"
            )
        node.routes[route.method] = route
        if route.method == "GET":
            node.routes.setdefault("HEAD", route)
        self.routes.append(route)
        if not route.names:
            self._fixed[route.template] = node.routes

    def mount(self, route: Route) -> None:
        """Add a route that takes the path of its template and all below.

        Raises:
            ValueError: its template has parameters, or the place is taken.
        """
        if route.names:
            raise ValueError(f"a mount stands at plain text, not at {route.template!r}")
        node = self._root
        for segment in route.segments if route.template != "/" else ():
            node = _child(node, segment)
        if node.mount is not None:
            raise ValueError(f"something is already mounted at {route.template!r}")
        node.mount = route
        self.routes.append(route)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, Any]] | None:
        """Return the route of a decoded path, and its parameters; None without one."""
        fixed = self._fixed.get(path)
        if fixed is not None and (route := fixed.get(method)) is not None:
            return route, {}
        prefix, _, last = path.rpartition("/")
        node = self._plain.get(prefix)
        if node is not None and last not in node.literals:
            for _, child, fullmatch, convert in node.parameters:
                if convert is None:
                    break
                if fullmatch(last) and (route := child.routes.get(method)) is not None:
                    return route, {route.names[0]: convert(last)}
        values: list[Any] = []
        found = _search(self._root, path.split("/"), 1, method, values)
        if found is None:
            return None
        return found, dict(zip(found.names, values))  # noqa: B905 - as many as names; costs less

    def allowed(self, path: str) -> set[str]:
        """Return the methods that have a route for a path."""
        found: set[str] = set()
        # No route has this method, so each place that the path leads to is looked at.
        _search(self._root, path.split("/"), 1, "", [], found)
        return found


def _child(node: _Node, segment: Segment) -> _Node:
    """Return the node behind a segment, made if it is new."""
    if not segment.names:
        return node.literals.setdefault(segment.text, _Node())
    if segment.is_path:
        if node.rest is None:
            node.rest = segment, _Node()
        return node.rest[1]
    for known, child, _, _ in node.parameters:
        if known.text == segment.text:
            return child
    child = _Node()
    convert = None
    if len(segment.names) == 1 and not segment.rank[1]:
        convert = segment.converters[0].convert or str
    node.parameters.append((segment, child, segment.fullmatch, convert))
    node.parameters.sort(key=lambda pair: pair[0].rank)
    return child


def _search(
    node: _Node,
    parts: list[str],
    index: int,
    method: str,
    values: list[Any],
    others: set[str] | None = None,
) -> Route | None:
    """Return the first route for the method; `others` gathers the methods of all places."""
    found: Route | None
    if index == len(parts):
        if (found := node.routes.get(method)) is not None:
            return found
        if others is not None:
            others.update(node.routes)
        return node.mount if others is None else None
    part = parts[index]
    if (literal := node.literals.get(part)) is not None:
        found = _search(literal, parts, index + 1, method, values, others)
        if found is not None:
            return found
    for segment, child, fullmatch, convert in node.parameters:
        if fullmatch(part) is None:
            continue
        count = len(values)
        if convert is not None:
            values.append(convert(part))
        else:
            values += segment.read(part) or ()
        if index + 1 == len(parts) and (found := child.routes.get(method)) is not None:
            return found
        found = _search(child, parts, index + 1, method, values, others)
        if found is not None:
            return found
        del values[count:]
    if node.rest is not None:
        segment, child = node.rest
        if (read := segment.read("/".join(parts[index:]))) is not None:
            if (found := child.routes.get(method)) is not None:
                values += read
                return found
            if others is not None:
                others.update(child.routes)
    return node.mount if others is None else None
