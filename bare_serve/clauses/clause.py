"""The shape of a row of the table, and the weights that a clause can have.

What lives here: `Clause` and what each of its columns means. What must not: rows (wsgi.py, asgi.py,
http.py).
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Weight = Literal["error", "advice", "note"]

ERROR: Final = "error"
"""The specification forbids it: a server refuses it, or carries out something else."""
ADVICE: Final = "advice"
"""It works, and is most likely not what was meant."""
NOTE: Final = "note"
"""It works, and popular frameworks do it: of interest only to who looks for it."""


class Clause(NamedTuple):
    """One thing that a specification asks of an application."""

    id: str
    """How messages, tests and documents name the clause; it never changes."""
    spec: str
    """Such as `PEP 3333` or `ASGI HTTP`."""
    section: str
    """The title of a section, or its number in an RFC."""
    weight: Weight
    expected: str
    """What holds, in one sentence."""
    fix: str
    """What to do, in one sentence."""
    reported: bool
    """Whether the server itself reports a breach, rather than the lint alone."""

    @property
    def place(self) -> str:
        """The specification and the section: `PEP 3333, "Unicode Issues"`, `RFC 9110, 5.1`."""
        if self.spec.startswith("RFC"):
            return f"{self.spec}, {self.section}"
        return f'{self.spec}, "{self.section}"'
