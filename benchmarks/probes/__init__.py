"""Figures that are not a rate under wrk: memory, growth, crowds, spread.

A probe is a function from a server, just started and alone, to a round of figures (a dictionary, as
`results` reads it). Its server is started anew for each round, since servers that are up together
share pages and what one round left behind would count in the next. Load is made in this process,
on the cores of the load, and what is read off is the server's own.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import machine
from benchmarks.checks import check
from benchmarks.peers import Environment
from benchmarks.probes import flat, footprint, growth, handshakes, hostile, spread, streams
from benchmarks.probes.subject import Subject
from benchmarks.process import Running, ServerFailed, launch_of
from benchmarks.scenario import Scenario
from benchmarks.servers import Server

Probe = Callable[[Subject], dict[str, object]]
PROBES: dict[str, Probe] = {
    "footprint": footprint.weigh,
    "growth": growth.grow,
    "handshakes": handshakes.shake_hands,
    "events": streams.events,
    "idle-sockets": streams.idle_sockets,
    "broadcast": streams.broadcast,
    "spread": spread.burst,
    "flat": flat.endure,
    "hostile": hostile.besiege,
}


def probe(
    server: Server, scenario: Scenario, environment: Environment, cores: machine.Cores
) -> dict[str, object]:
    """One round. NotOffered, WrongAnswer, ServerFailed and WrkError say why there is none."""
    running = Running(server, launch_of(server, scenario), environment, cores.server)
    try:
        startup = running.first_answer()
        check(running, scenario)
        with machine.pinned(cores.load):
            found = PROBES[scenario.probe](Subject(running, scenario, cores, startup))
        if died := running.obituary():
            raise ServerFailed(died)
        return found
    finally:
        running.stop(patience=0)  # all is measured, and streams may be open that nobody ends
