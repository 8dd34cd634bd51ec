"""The template of a path: literal text, and parameters with a converter, segment by segment.

What lives here: the grammar of templates, converters, and how a path is built from one. What must
not: which of several templates wins (router.py).

A parameter `{name}` or `{name:converter}` is a segment or a part of one, and never holds a slash;
only `{name:path}` does, at the end of a template. Literal text stands for itself, and a match is
the whole segment. Control characters match nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

TYPE_CHECKING = False  # as in typing, which takes 5 ms
if TYPE_CHECKING:
    from typing import Any


class Converter:
    """What a parameter may look like, and what it becomes; lower ranks win."""

    __slots__ = ("convert", "pattern", "rank", "type_name")

    def __init__(
        self, pattern: str, convert: Callable[[str], Any] | None, type_name: str, rank: int
    ) -> None:
        """`type_name`: of what `convert` gives; without that the text stays as it is."""
        self.pattern = pattern
        self.convert = convert
        self.type_name = type_name
        self.rank = rank


def _uuid(text: str) -> Any:
    from uuid import UUID

    return UUID(text)


_HEX = "[0-9a-fA-F]"
CONVERTERS = {
    # Eighteen digits fit into 64 bits wherever the number goes.
    "int": Converter("[0-9]{1,18}", int, "int", 1),
    "uuid": Converter(f"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}", _uuid, "UUID", 2),
    "slug": Converter("[A-Za-z0-9_-]+", None, "str", 3),
    "str": Converter(r"[^/\x00-\x1f\x7f]+", None, "str", 4),
    # No slash in front: joined to a folder such a path would leave the folder.
    "path": Converter(r"[^/\x00-\x1f\x7f][^\x00-\x1f\x7f]*", None, "str", 5),
}
_PARAMETER = re.compile(r"\{([^{}]*)\}")


class Segment:
    """One segment of a template: plain text, or parameters with text around them.

    `rank` orders what is specific before what is general: the converter, then how much is literal.
    """

    __slots__ = ("converters", "fullmatch", "names", "rank", "text")

    def __init__(
        self,
        text: str,
        names: tuple[str, ...] = (),
        converters: tuple[Converter, ...] = (),
        fullmatch: Callable[[str], re.Match[str] | None] | None = None,
        rank: tuple[int, int] = (0, 0),
    ) -> None:
        """Keep the parts; `text` has the parameters without their names."""
        self.text = text
        self.names = names
        self.converters = converters
        self.fullmatch = fullmatch
        self.rank = rank

    @property
    def is_path(self) -> bool:
        """Whether it takes all the rest of a path."""
        return bool(self.converters) and self.converters[-1].rank == 5

    def read(self, text: str) -> list[Any] | None:
        """Return the parameters in a segment of a path, converted; None if it does not match."""
        assert self.fullmatch is not None
        found = self.fullmatch(text)
        if found is None:
            return None
        pairs = zip(self.converters, found.groups(), strict=True)
        return [how.convert(part) if how.convert else part for how, part in pairs]


def parse(template: str) -> list[Segment]:
    """Return the segments of a template.

    Raises:
        ValueError: it does not begin with "/", names a parameter twice or an unknown converter.
    """
    if not template.startswith("/"):
        raise ValueError(f"the path {template!r} must begin with '/'")
    segments = [_segment(text, template) for text in template[1:].split("/")]
    names = [name for segment in segments for name in segment.names]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the path {template!r} has two parameters named {name!r}")
    if any(segment.is_path for segment in segments[:-1]):
        raise ValueError(f"the path {template!r}: a parameter of kind 'path' stands at the end")
    return segments


def _segment(text: str, template: str) -> Segment:
    names: list[str] = []
    converters: list[Converter] = []
    pattern, end, literal = "", 0, 0
    for found in _PARAMETER.finditer(text):
        before = text[end : found.start()]
        end = found.end()
        name, _, kind = found[1].partition(":")
        if not name.isidentifier():
            raise ValueError(f"the path {template!r}: {name!r} is no name of a parameter")
        if (converter := CONVERTERS.get(kind or "str")) is None:
            raise ValueError(
                f"the path {template!r} has an unknown converter {kind!r}: "
                f"there are {', '.join(sorted(CONVERTERS))}"
            )
        names.append(name)
        converters.append(converter)
        pattern += f"{re.escape(before)}({converter.pattern})"
        literal += len(before)
    rest = text[end:]
    if "{" in _PARAMETER.sub("", text) or "}" in _PARAMETER.sub("", text):
        raise ValueError(f"the path {template!r} has a brace without its other")
    if not names:
        return Segment(text)
    pattern += re.escape(rest)
    literal += len(rest)
    if len(names) > 1 and any(converter.rank == 5 for converter in converters):
        raise ValueError(f"the path {template!r}: a parameter of kind 'path' stands alone")
    if converters[0].rank == 5 and literal:
        raise ValueError(f"the path {template!r}: a parameter of kind 'path' stands alone")
    # A parameter of kind path last; then what has less literal text; then the looser converter.
    rank = (max(each.rank for each in converters) - (3 if literal else 0), -literal)
    return Segment(
        _PARAMETER.sub(lambda found: "{:" + (found[1].partition(":")[2] or "str") + "}", text),
        tuple(names),
        tuple(converters),
        re.compile(pattern).fullmatch,
        rank,
    )


def fill(segments: list[Segment], template: str, params: dict[str, Any]) -> str:
    """Return a path of a template, quoted (RFC 3986, 3.3).

    Raises:
        ValueError: a parameter is missing, is one too many, or would not be matched again.
    """
    wanted = [name for segment in segments for name in segment.names]
    if {*wanted} != params.keys():
        raise ValueError(
            f"the path {template!r} has the parameters ({', '.join(wanted)}), "
            f"not ({', '.join(sorted(params))})"
        )

    def text(found: re.Match[str]) -> str:
        return str(params[found[1].partition(":")[0]])

    pieces = []
    for segment, raw in zip(segments, template[1:].split("/"), strict=True):
        piece = _PARAMETER.sub(text, raw)
        if segment.names:
            found = segment.read(piece) or ()
            given = [str(params[name]) for name in segment.names]
            if [str(value) for value in found] != given:
                raise ValueError(f"no path of {template!r} has the parameters {params!r}")
        pieces.append(quote(piece, safe="/:@!$&'()*+,;=~-._"))
    return "/" + "/".join(pieces)
