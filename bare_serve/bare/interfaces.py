"""What the parts of the framework call the application that they are parts of.

What lives here: names for types. What must not: anything that runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from bare_serve.bare.app import Bare

    App = Bare

Handler = TypeVar("Handler", bound=Callable[..., Any])


class Register(Protocol):
    """A decorator that adds a function and returns it as it was."""

    def __call__(self, handler: Handler, /) -> Handler:
        """Add a function."""
