"""Each exchange learns once how its answer has ended, whatever the others make of the end.

What lives here: which exchanges want to know, and telling them. What must not: when an answer has
ended (the adapters).
"""

from __future__ import annotations

from bare_serve.middleware.policy import Exchange, Outcome


def wanting_end(exchanges: list[Exchange]) -> list[Exchange]:
    """Return those that want to know the end."""
    found = []
    for exchange in exchanges:  # HOT PATH: a comprehension is a call
        if exchange.wants_end:
            found.append(exchange)  # noqa: PERF401
    return found


def tell(exchanges: list[Exchange], outcome: Outcome) -> None:
    """Tell each of them; what one of them raises does not keep the others.

    Raises:
        Exception: the first that one of them has raised.
    """
    failure = None
    for exchange in exchanges:
        try:
            exchange.end(outcome)
        except Exception as error:  # noqa: BLE001 - the others have to learn of the end
            failure = failure or error
    if failure is not None:
        raise failure
