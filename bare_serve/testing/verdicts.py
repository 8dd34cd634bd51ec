"""What a lint says: `SpecError` for a broken clause, `SpecAdvice` for what only looks wrong.

What lives here: the two classes, and where advice goes. What must not: the checks (lint_wsgi.py,
lint_asgi.py), what a clause says (clauses/).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bare_serve.clauses import reference
from bare_serve.clauses.clause import NOTE, Clause
from bare_serve.clauses.table import CLAUSES
from bare_serve.errors import ResponseError

_HERE = str(Path(__file__).parent)


class _Verdict(Exception):
    """A clause, and what was got."""

    def __init__(self, clause: str, got: str) -> None:
        """Say of the clause with this id what an application did, as a sentence."""
        super().__init__(f"{got}\n{reference(clause)} ({clause})")
        self.clause: Clause = CLAUSES[clause]
        self.got = got

    def __reduce__(self) -> Any:
        return type(self), (self.clause.id, self.got)


class SpecError(_Verdict, AssertionError):
    """A clause of PEP 3333 or of the ASGI specification is broken.

    `clause` is its row of the table, `got` says what was done.
    """


class SpecAdvice(_Verdict, UserWarning):
    """Something that works, and that a clause advises against; `clause` and `got` as above."""


OnAdvice = Callable[[SpecAdvice], None]
Advise = Callable[[str, str], None]
"""Takes the id of a clause, and what was got."""


def adviser(on_advice: OnAdvice | None) -> Advise:
    """Return what takes advice: it goes to `on_advice`, or else becomes a warning.

    Notes, which are what popular frameworks do as well, go to `on_advice` only.
    """
    if on_advice is None:
        return _warn

    def advise(clause: str, got: str) -> None:
        on_advice(SpecAdvice(clause, got))

    return advise


def _warn(clause: str, got: str) -> None:
    if CLAUSES[clause].weight != NOTE:
        warnings.warn(SpecAdvice(clause, got), stacklevel=_outside())


def _outside() -> int:
    """Return how many calls back, as `warnings.warn` counts them, the code of a user stands."""
    level, frame = 2, sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        level, frame = level + 1, frame.f_back
    return level


def spec_error(error: ResponseError) -> SpecError:
    """Return what the server would raise as what a lint raises."""
    return SpecError(error.clause, str(error).partition("\n")[0])
