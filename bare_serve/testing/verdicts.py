"""What a lint says: `SpecError` for a broken clause, `SpecAdvice` for what only looks wrong.

What lives here: the two classes. What must not: the checks (lint.py).
"""

from __future__ import annotations


class SpecError(AssertionError):
    """A clause of PEP 3333 or of the ASGI specification is broken."""


class SpecAdvice(UserWarning):
    """Something that works, and that a clause advises against."""
