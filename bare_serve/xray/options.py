"""What an x-ray is to show, as one frozen record."""

from __future__ import annotations

from typing import NamedTuple


class XrayOptions(NamedTuple):
    """What is asked for."""

    pattern: str = ""
    """Which requests: a path with * and ?, or a method and a path; empty for all."""
    full: bool = False
    """Show each key of environ and scope, longer pieces of bodies, and notes."""
    bodies: bool = True
    """Show the beginning of bodies."""
    prints: bool = True
    """Write to the terminal; else only `in_call` shows anything."""
    in_call: bool = False
    """Hand the application the text of its own request so far (the demo)."""
    silent: bool = False
    """Change nothing that others see: watch no layers, send no Server-Timing."""
    without: str = ""
    """No record is made of a request whose path holds this text; empty for none such."""
    server_timing: bool = True
    """Tell the client as well, by a header of that name: not where others are the clients."""
    colour: bool = False
    arrows: bool = False
    """Write marks as arrows: the terminal has them."""
    worker: int = 0
    """The place of the worker; 0 if there is no master."""
