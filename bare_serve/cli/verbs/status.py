"""`bare-serve status`: what a server is doing, on one screen, or as JSON.

The exit code is 0 if as many workers serve as are wanted, 1 if not, 3 if there is no server that
can be looked at.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from bare_serve.cli.verbs import screen
from bare_serve.cli.verbs.command import parser, show
from bare_serve.cli.verbs.looking import look
from bare_serve.cli.verbs.servers import chosen
from bare_serve.cli.verbs.views import View, view_of

_MOST = 10
"""Requests in flight that are listed."""
_EVENTS = 5


def main(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code."""
    made = parser(
        "status",
        "Show what a server is doing: its workers, their requests in flight, what happened last. "
        "Ends with 0 if as many workers serve as are wanted, 1 if not, 3 if no server is there.",
    )
    made.add_argument(
        "--history", action="store_true", help="Show all of the history that is kept."
    )
    asked = made.parse_args(arguments[1:])
    with chosen(asked.pid, asked.pidfile) as found:
        views = [view_of(running, look(running)) for running in found]
    if asked.json:
        show(json.dumps({"servers": [view.to_json() for view in views]}, indent=2))
    elif len(views) > 1:
        for view in views:
            show(screen.cut(screen.summary(view), screen.WIDTH))
    else:
        events = 256 if asked.history else _EVENTS
        show("\n".join(lines(views[0], screen.WIDTH, _MOST, events)))
    return 0 if all(view.is_well for view in views) else 1


def lines(view: View, width: int, most: int, events: int) -> list[str]:
    """Return the screen."""
    found = [*screen.head(view, width), "", *screen.table(view, width)]
    if flight := screen.flight(view, width, most):
        found += ["", *flight]
    if told := screen.recent_events(view, width, events):
        found += ["", *told]
    return found
