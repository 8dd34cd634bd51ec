"""The fuzzer in small: all seeds, some thousand mutations, and the proof that it finds things."""

from __future__ import annotations

import re
from random import Random

import pytest

from bare_serve.http import grammar
from bare_serve.http1 import field_lines, response
from tests.fuzz.__main__ import seeds
from tests.fuzz.engine import Fuzzer
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_and_some_mutations_break_nothing(name: str) -> None:
    fuzzer = Fuzzer(TARGETS[name], seeds(name), Random(1))
    finding = fuzzer.run(seconds=20, runs=1500)
    assert finding is None, (finding.raw, finding.seed, finding.error)
    assert fuzzer.runs > 200
    assert len(fuzzer.edges) > 100


@pytest.mark.timeout(300)  # 4 seconds of a processor
def test_a_planted_fault_of_parsing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast way takes a value that the scanner, which judges heads in pieces, does not."""
    lax = re.compile(grammar.FIELD_VALUE.pattern.replace(rb"\t", rb"\t\x0c"))
    monkeypatch.setattr(field_lines, "_match_value", lax.fullmatch)
    field_lines.field_lines.clear()
    fuzzer = Fuzzer(TARGETS["requests"], seeds("requests")[:20], Random(4))
    assert fuzzer.run(seconds=280, runs=100_000) is not None


@pytest.mark.timeout(300)
def test_a_planted_fault_of_answering_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """CR LF in a value."""
    monkeypatch.setattr(grammar, "FIELD_VALUE", re.compile(rb"(?s:.*)"))
    monkeypatch.setattr(response, "_memo", {})
    monkeypatch.setattr(response, "_blocks", {})
    fuzzer = Fuzzer(TARGETS["answers"], seeds("answers"), Random(1))
    assert fuzzer.run(seconds=280, runs=100_000) is not None


def test_a_run_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    for _ in range(2):
        for memo in ("_memo", "_blocks"):  # what is remembered takes another way
            monkeypatch.setattr(response, memo, {})
        fuzzer = Fuzzer(TARGETS["answers"], seeds("answers"), Random(7))
        fuzzer.run(seconds=30, runs=300)
        runs.append(fuzzer.population)
    assert runs[0] == runs[1]
