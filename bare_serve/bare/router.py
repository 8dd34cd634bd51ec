"""The router: a path leads to one route, the same in whatever order the routes were added.

What lives here: the grammar of templates, and which of several routes wins. What must not: what is
answered where there is no route (failures.py).

A parameter `{name}` or `{name:converter}` is a segment or a part of one, and never holds a slash;
only `{name:path}` does, at the end of a template. Literal text stands for itself, and a match is
the whole path. Control characters match nothing.

Segment by segment, from the left, what is specific comes before what is general: text, then text
with parameters in it, then parameters alone, narrow ones first, then what takes all the rest: a
parameter of kind path, a mount. Routes stand in a table by the text that they begin with, so a
lookup tries those that begin like the path, and a thousand others cost nothing.
"""

from __future__ import annotations

import re
from bisect import insort
from typing import Any
from urllib.parse import quote

Params = dict[str, Any]

ANY, WEBSOCKET = "(any)", "(websocket)"
"""What stands in the place of a method; no request has it, since it is no token."""


def _uuid(text: str) -> Any:
    from uuid import UUID

    return UUID(text)


CONVERTERS: dict[str, tuple[str, Any, str]] = {
    # Eighteen digits fit into 64 bits wherever the number goes.
    "int": ("[0-9]{1,18}", int, "int"),
    "uuid": ("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", _uuid, "UUID"),
    "slug": ("[A-Za-z0-9_-]+", None, "str"),
    "str": (r"[^/\x00-\x1f\x7f]+", None, "str"),
    # No slash in front: joined to a folder such a path would leave the folder.
    "path": (r"[^/\x00-\x1f\x7f][^\x00-\x1f\x7f]*", None, "str"),
}
"""What a parameter may look like, what makes a value of it, and the value's type; narrow first."""
_RANKS = [*CONVERTERS]
_PARAMETER = re.compile(r"\{([^{}:]*):?([^{}]*)\}")


class Route:
    """A method and a template, and what answers.

    Attributes:
        place: the file and the line of the handler, for messages.
        kinds: the parameters of the template, and their converters.
        plan: see plan.py; `replan` makes it anew.
        asgi, wsgi: how the two interfaces serve it, made when they first do.
    """

    name = ""
    max_body = 0
    origins: tuple[str, ...] = ()
    replan: Any
    plan: Any = None
    asgi: Any = None
    wsgi: Any = None

    def __init__(self, method: str, template: str, place: str = "") -> None:
        """Parse the template; ValueError if it is none."""
        self.method, self.template, self.place = method, template, place
        self.methods = ("GET", "HEAD") if method == "GET" else (method,)
        texts = _PARAMETER.split(template)[::3]
        if not template.startswith("/") or any("{" in text or "}" in text for text in texts):
            raise self._wrong("must begin with '/', and close each brace")
        parameters = [(name, kind or "str") for name, kind in _PARAMETER.findall(template)]
        self.kinds = dict(parameters)
        for kind in {*self.kinds.values()} - {*CONVERTERS}:
            raise self._wrong(f"has an unknown converter {kind!r}: there are {', '.join(_RANKS)}")
        shape = _PARAMETER.sub(lambda found: f"{{{found[2] or 'str'}}}", template)
        if "{path}" in shape.removesuffix("/{path}"):
            raise self._wrong("has a parameter of kind 'path' that is not the last segment")
        groups = [f"(?P<{name}>{CONVERTERS[kind][0]})" for name, kind in parameters]
        pairs = zip(map(re.escape, texts), [*groups, ""], strict=True)
        try:
            self._fullmatch = re.compile("".join(text + group for text, group in pairs)).fullmatch
        except re.error as error:
            raise self._wrong(f"has a wrong parameter: {error}") from None
        self.prefix = template.partition("{")[0].rpartition("/")[0] if groups else template
        if method == ANY:
            self.prefix = template.rstrip("/")
            if groups:
                raise self._wrong("is that of a mount, which has no parameters")
        # The same for the same paths; a mount comes last, a route of HEAD's own before GET's.
        self.rank = (method == ANY, [*map(_rank, shape.split("/"))], shape, method == "GET")
        self._converts = [(n, CONVERTERS[kind][1]) for n, kind in parameters if CONVERTERS[kind][1]]

    def _wrong(self, what: str) -> ValueError:
        return ValueError(f"the path {self.template!r} {what}")

    def match(self, path: str) -> Params | None:
        """Return the parameters of a decoded path, converted; None if it is none of these."""
        if not self.kinds:
            return {} if path == self.template or self.method == ANY else None
        if (found := self._fullmatch(path)) is None:
            return None
        params: Params = found.groupdict()
        for name, convert in self._converts:
            params[name] = convert(params[name])
        return params

    def fill(self, params: Params) -> str:
        """Return a path of the template, quoted (RFC 3986, 3.3).

        Raises:
            ValueError: a parameter is missing, is one too many, or would not be matched again.
        """
        given = {name: str(value) for name, value in params.items()}
        if given.keys() == self.kinds.keys():
            path = _PARAMETER.sub(lambda found: given[found[1]], self.template)
            # Clients take dot segments out of a path (RFC 3986, 5.2.4).
            found = {} if {".", ".."} & {*path.split("/")} else self.match(path) or {}
            if given == {name: str(value) for name, value in found.items()}:
                return quote(path, safe="/:@!$&'()*+,;=~-._")
        raise self._wrong(f"has the parameters {self.kinds}, which {params} are not")


def _rank(segment: str) -> tuple[bool, int, int]:
    kinds = [_RANKS.index(kind) for kind, _ in _PARAMETER.findall(segment)]
    return bool(kinds), -len(_PARAMETER.sub("", segment)), max(kinds, default=0)


Found = tuple[Route, Params] | None


class Router:
    """Routes by path and method."""

    def __init__(self) -> None:
        """Begin without a route."""
        self.routes: list[Route] = []
        self._table: dict[str, list[Route]] = {}
        self._longest = 0

    def add(self, route: Route) -> None:
        """Add a route, or a mount, which takes the path of its template and all below.

        Raises:
            ValueError: another route has the same method and paths; a mount has parameters.
        """
        beside = self._table.setdefault(route.prefix, [])
        for known in beside:
            if known.method == route.method and known.rank == route.rank:
                what = f"{route.method} {route.template} of {route.place}"
                raise ValueError(f"{what} is already {known.template} of {known.place}")
        insort(beside, route, key=lambda each: each.rank)
        self._longest = max(self._longest, len(route.prefix))
        self.routes.append(route)

    def find(self, method: str, path: str, others: set[str] | None = None) -> Found:
        """Return the route of a decoded path, and its parameters; None without one.

        `others` gets the methods of the routes that have the path, and not the method.
        """
        prefix = path
        if len(path) > self._longest:
            prefix = path[: self._longest + 1].rpartition("/")[0]
        while True:
            for route in self._table.get(prefix, ()):
                if method in route.methods or route.method == ANY:
                    if (params := route.match(path)) is not None:
                        return route, params
                elif others is not None and route.match(path) is not None:
                    others.update(route.methods)
            if not prefix:
                return None
            prefix = prefix.rpartition("/")[0]
