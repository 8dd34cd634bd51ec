"""What a request costs with one, with few and with very many connections that are all in use."""

from __future__ import annotations

from benchmarks import proc
from benchmarks.checks import HELLO
from benchmarks.probes.crowd import Crowd, asking
from benchmarks.probes.subject import Subject

FEW, MANY = 64, 5000
SECONDS = 0.8


def cost(subject: Subject, connections: int) -> float:
    """CPU microseconds of the server per request; opening the connections is not counted."""
    with Crowd(subject.running) as crowd:
        crowd.open(connections, asking("/", HELLO))
        crowd.converse(0.1, HELLO)
        before = proc.tree_cpu(subject.running.pid)
        answers = crowd.converse(SECONDS, HELLO)
        spent = proc.tree_cpu(subject.running.pid) - before
    return spent.total * 1e6 / answers


def grow(subject: Subject) -> dict[str, object]:
    return {
        "one_us": cost(subject, 1),
        "few_us": cost(subject, FEW),
        "many_us": cost(subject, MANY),
    }
