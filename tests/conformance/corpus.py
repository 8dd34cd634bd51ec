"""The corpus: raw HTTP/1.1 exchanges, each with what a server must answer.

`corpus.json` holds them as data. A case has an id, a group, the RFC clause or advisory behind it
(ref), its weight (level), steps, and alternatives. Steps: bytes to `send`, bytes to send one by one
(`each`), to `pause` for milliseconds, to stay `quiet` (nothing may come), to `await` a number
of answers or an interim one (`await100`), to `halfclose`. Byte strings are latin-1 text.

An alternative names all answers, each as a predicate, and the end of the exchange: close, open
(a further request is answered), either, any, or cut (closed within a body). Those of rank 0 are
recommended, the others are legal.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).with_name("corpus.json")


@dataclass(frozen=True)
class Alternative:
    """One acceptable way for the exchange to go."""

    name: str
    responses: list[dict[str, Any]]
    end: str
    interims: tuple[int, int]
    recommended: bool


@dataclass(frozen=True)
class Case:
    """One exchange."""

    id: str
    group: str
    ref: str
    level: str
    steps: list[dict[str, Any]]
    methods: list[str]
    alternatives: list[Alternative]
    tags: frozenset[str]


def load() -> list[Case]:
    """All cases."""
    return [_case(item) for item in json.loads(CORPUS.read_text(encoding="utf-8"))["cases"]]


def _case(item: dict[str, Any]) -> Case:
    return Case(
        item["id"],
        item["group"],
        item["ref"],
        item["level"],
        [_step(step) for step in item["send"]],
        item["methods"],
        [_alternative(index, expect) for index, expect in enumerate(item["expect"])],
        frozenset(item["tags"]),
    )


def _step(step: dict[str, Any]) -> dict[str, Any]:
    return {key: _bytes(value) if key in ("send", "each") else value for key, value in step.items()}


def _alternative(index: int, expect: dict[str, Any]) -> Alternative:
    return Alternative(
        expect["name"],
        [_response(response) for response in expect["responses"]],
        expect["conn"],
        tuple(expect["interims"]),
        expect.get("rank", index) == 0,
    )


def _response(wanted: dict[str, Any]) -> dict[str, Any]:
    wanted = dict(wanted)
    if "body" in wanted:
        wanted["body"] = _bytes(wanted["body"])
    if "notin" in wanted:
        wanted["notin"] = [_bytes(text) for text in wanted["notin"]]
    if "body" in wanted.get("echo", ()):
        wanted["echo"] = {**wanted["echo"], "body": _bytes(wanted["echo"]["body"])}
    return wanted


def _bytes(value: str | dict[str, str]) -> bytes:
    if isinstance(value, dict):
        return zlib.decompress(base64.b64decode(value["zlib_base64"]))
    return value.encode("latin-1")
