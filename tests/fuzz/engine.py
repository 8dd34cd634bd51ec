"""A small coverage-guided mutation fuzzer, made of nothing but the standard library.

It keeps a population of inputs, each of which went from a line of the core to another as none did
before. It takes one, damages it (bytes, pieces of others, words of the protocol, repetitions), and
lets the target judge. The same seed of the generator gives the same run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import bare_serve.http.fields
import bare_serve.http.head
import bare_serve.http1
import bare_serve.net.proxy_protocol

# Without http/date.py: which way that takes depends on the time, and a run could not be repeated.
CORE = (
    str(Path(bare_serve.http1.__file__).parent),
    bare_serve.http.head.__file__,
    bare_serve.http.fields.__file__,
    bare_serve.net.proxy_protocol.__file__,
)
LONGEST = 2000

WORDS = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b":", b": ", b";", b",", b"\x00", b"\x0c",
    b"\x7f", b"\x80", b"\xff", b"0", b"0\r\n\r\n", b"5\r\nhello\r\n", b"ffffffffffffffff",
    b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HEAD ", b"POST ",
    b"CONNECT ", b"OPTIONS *", b"http://x/", b"*", b"#", b"?", b"%", b"[::1]",
    b"Host: x\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Expect: 100-continue\r\n",
    b"Upgrade: h2c\r\n", b"|", b"=", b"|Content-Length=5", b"|Connection=close", b"|Date=x",
    b"|Transfer-Encoding=chunked", b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"1.2.3.4 ", b"::1 ",
    b"\r\n\r\n\0\r\nQUIT\n", b"\x21\x11\0\x0c", b"\x20\0\0\0", b"\x03\0\4", b"\x04\0\1",
]  # fmt: skip

Target = Callable[[bytes, Random, AbstractContextManager[object]], None]
Edge = tuple[Any, int, int]


class Tracer:
    """Which lines of the core follow each other while it is entered."""

    def __init__(self) -> None:
        self.edges: set[Edge] = set()
        self._last: dict[int, int] = {}

    def __enter__(self) -> Tracer:
        sys.settrace(self._call)
        return self

    def __exit__(self, *details: object) -> None:
        sys.settrace(None)
        self._last.clear()

    def _call(self, frame: FrameType, event: str, arg: object) -> Any:
        return self._line if frame.f_code.co_filename.startswith(CORE) else None

    def _line(self, frame: FrameType, event: str, arg: object) -> Any:
        key, line = id(frame), frame.f_lineno
        self.edges.add((frame.f_code, self._last.get(key, 0), line if event != "return" else -line))
        self._last[key] = line
        if event == "return":
            self._last.pop(key, None)
        return self._line


@dataclass
class Finding:
    """Bytes that break an invariant, and how."""

    raw: bytes
    seed: int
    error: Exception


@dataclass
class Fuzzer:
    """One run against one target."""

    target: Target
    seeds: Iterable[bytes]
    random: Random
    population: list[bytes] = field(default_factory=list)
    edges: set[Edge] = field(default_factory=set)
    runs: int = 0
    finding: Finding | None = None
    fresh: list[bytes] = field(default_factory=list)
    """Inputs of this run that reached something new, and are no seeds."""

    def run(self, seconds: float = 60.0, runs: int = sys.maxsize) -> Finding | None:
        """Plays the seeds, then mutations of them, until the time is over or something is found."""
        until = time.monotonic() + seconds
        for raw in self.seeds:
            self._try(raw, always=True)
        while self.finding is None and self.runs < runs and time.monotonic() < until:
            self._try(self._mutated())
        return self.finding

    def _try(self, raw: bytes, *, always: bool = False) -> None:
        self.runs += 1
        seed = self.random.getrandbits(32)
        tracer = Tracer()
        try:
            self.target(raw, Random(seed), tracer)
        except Exception as error:
            self.finding = self.finding or Finding(raw, seed, error)
        fresh = tracer.edges - self.edges
        self.edges |= fresh
        if fresh or always:
            self.population.append(raw)
        if fresh and not always:
            self.fresh.append(raw)

    def _mutated(self) -> bytes:
        random = self.random
        raw = random.choice(self.population)
        for _ in range(random.choice([1, 1, 2, 4, 8])):
            raw = self._mutate(raw)
        return raw[:LONGEST]

    def _mutate(self, raw: bytes) -> bytes:
        random = self.random
        a = random.randrange(len(raw) + 1)
        b = min(len(raw), a + random.choice([1, 1, 2, 4, 16, 64]))
        kind = random.randrange(7)
        if kind == 0:
            return raw[:a] + raw[b:]
        if kind == 1:
            return raw[:a] + random.choice(WORDS) + raw[a:]
        if kind == 2:
            return raw[:a] + random.choice(WORDS) + raw[b:]
        if kind == 3:
            return raw[:a] + bytes([random.randrange(256)]) + raw[a + 1 :]
        if kind == 4:
            return raw[:a] + raw[a:b] * random.choice([2, 3, 9, 40]) + raw[b:]
        if kind == 5:
            other = random.choice(self.population)
            return raw[:a] + other[random.randrange(len(other) + 1) :]
        return raw + random.choice(self.population)
