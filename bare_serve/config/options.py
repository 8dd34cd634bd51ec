"""What an option is: one name, from which its flag, variable and key are made.

What lives here: the record of one option, the groups that options are shown in, and how a field of
a dataclass becomes one. What must not: any single option; those are the fields of Settings, in
settings.py.
"""

from __future__ import annotations

from dataclasses import Field, field
from typing import Any, NamedTuple

from bare_serve.config.kinds import Kind

PREFIX = "BARE_SERVE_"
GROUPS = (
    "Target",
    "Network",
    "TLS",
    "Static files",
    "Workers",
    "Process",
    "Timeouts",
    "Limits",
    "WebSockets",
    "Middleware",
    "Logging",
    "Operations",
    "Settings",
)


class Option(NamedTuple):
    """One line of the table: everything that is known of one option."""

    name: str
    group: str
    kind: Kind
    help: str
    default: Any = None
    short: str = ""
    platform_variable: str = ""
    """A variable that hosting platforms set, weaker than our own."""
    stands_for: tuple[str, str] | None = None
    """For a switch that is only a short spelling of another option's value."""
    only: str = ""
    """The one kind of application that it means something to, asgi or wsgi; empty for both."""

    @property
    def key(self) -> str:
        return self.name.replace("_", "-")

    @property
    def flag(self) -> str:
        return f"--{self.key}"

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()


def option(default: Any, group: str, kind: Kind, text: str, **more: str) -> Any:
    """Return a field of a dataclass that is an option; `more` are further fields of Option."""
    return field(default=default, metadata={"option": (group, kind, text, more)})


def option_of(entry: Field[Any]) -> Option | None:
    """Return the option that a field of a dataclass was declared as, None for other fields."""
    if "option" not in entry.metadata:
        return None
    group, kind, text, more = entry.metadata["option"]
    return Option(entry.name, group, kind, text, entry.default, **more)
