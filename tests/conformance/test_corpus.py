"""The corpus of exchanges against real servers: both interfaces, both parsers, no failure.

The bar is the strict one: each case takes an alternative that is recommended, not merely legal.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.conformance.corpus import load
from tests.conformance.runner import run_all
from tests.support import RawClient, eventually, serve

HERE = Path(__file__).parent
CASES = load()


@pytest.mark.parametrize("parser", ["python", "httptools"])
@pytest.mark.parametrize("interface", ["wsgi", "asgi"])
def test_every_exchange_goes_as_recommended(interface: str, parser: str) -> None:
    other = {"wsgi": "asgi", "asgi": "wsgi"}[interface]
    cases = [case for case in CASES if other not in case.tags]
    with serve(f"echo_app:{interface}_app", "--parser", parser, cwd=HERE) as server:
        (worker,) = server.workers
        outcomes = run_all(cases, server.address, jobs=32)
        failures = [str(outcome) for outcome in outcomes if outcome.taken is None]
        lenient = [str(outcome) for outcome in outcomes if outcome.taken is not None
                   and not outcome.taken.recommended]  # fmt: skip
        with RawClient(server.address) as client:
            assert client.request(target="/empty").status == 200
        assert server.workers == [worker], "the worker has been through it all"
        eventually(lambda: "Traceback" in server.output, "the application's errors in the log")
    assert failures == []
    assert lenient == []


def test_the_corpus_is_whole() -> None:
    assert len(CASES) == 472
    assert len({case.id for case in CASES}) == 472
    groups = Counter(case.group for case in CASES)
    assert len(groups) == 22
    assert min(groups.values()) >= 9
    assert all(case.alternatives[0].recommended for case in CASES)
