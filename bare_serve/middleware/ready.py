"""Fields that many answers have in common are made ready once.

What lives here: the fields of an answer in the forms that adapters need. What must not: which
fields those are.
"""

from __future__ import annotations

from functools import cached_property


class ReadyFields(tuple[tuple[str, str], ...]):  # noqa: SLOT001 - it keeps `encoded`
    """Fields of an answer, with its Content-Length: an adapter neither looks for that nor adds it.

    To be kept by the policy that sends them again and again; never changed.
    """

    @cached_property
    def encoded(self) -> list[tuple[bytes, bytes]]:
        """The same as ASGI has them, names in lower case."""
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self]
