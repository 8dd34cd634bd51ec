"""The header fields of an answer, as a test reads them.

What lives here: a mapping that knows no case and loses no field. What must not: what a field means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bare_serve.http.fields import Field


class Headers(Mapping[str, str]):
    """Fields by name, in any case; `all` and `pairs` show each of several with one name.

    `headers["x"]` joins repeated fields with ", " (RFC 9110, 5.3). Set-Cookie must not be joined:
    take `all("set-cookie")`, or the response's `cookies`.
    """

    __slots__ = ("_found", "raw")

    def __init__(self, raw: list[Field]) -> None:
        """`raw`: names and values as the application gave them."""
        self.raw = raw
        self._found: dict[str, list[str]] | None = None

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Each field, in order, the names in lower case."""
        return [
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self.raw
        ]

    def all(self, name: str) -> list[str]:
        """Return the values of each field with this name, in order; an empty list for none."""
        return list(self._by_name().get(name.lower(), ()))

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._by_name()[name.lower()])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._by_name()

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name())

    def __len__(self) -> int:
        return len(self._by_name())

    def __eq__(self, other: Any) -> bool:
        return dict(self) == dict(other) if isinstance(other, Mapping) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({self.pairs!r})"

    def _by_name(self) -> dict[str, list[str]]:
        found = self._found
        if found is None:
            found = self._found = {}
            for name, value in self.pairs:
                found.setdefault(name, []).append(value)
        return found
