"""Whether an answer is what a case wants: the predicates of corpus.json, each with its reason."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Any

from tests.conformance.wire import Answer


def problem(answer: Answer, wanted: dict[str, Any]) -> str:
    """What is wrong with `answer`; empty if nothing is."""
    return next(filter(None, _problems(answer, wanted)), "")


def _problems(answer: Answer, wanted: dict[str, Any]) -> Iterable[str]:
    yield _one_of("status", answer.status, wanted.get("status"))
    if wanted.get("app") not in (None, answer.from_app):
        yield "made by the " + ("application" if answer.from_app else "server")
    if answer.body != wanted.get("body", answer.body):
        yield f"body {answer.body[:60]!r}, want {wanted['body'][:60]!r}"
    if len(answer.body) != wanted.get("size", len(answer.body)):
        yield f"a body of {len(answer.body)} bytes"
    for text in wanted.get("notin", ()):
        if text in answer.body:
            yield f"the body shows {text!r}"
    if "nobody" in wanted and answer.body:
        yield f"body {answer.body[:60]!r}, want none"
    framing = "cl" if answer.framing == "length" else answer.framing
    yield _one_of("framing", framing, wanted.get("framing"))
    yield _one_of("version", answer.version, wanted.get("version"))
    for check in wanted.get("hdr", ()):
        yield _header("answer's", answer.headers, check)
    if "echo" in wanted:
        yield from _echo(answer.echo, wanted["echo"])


def _one_of(what: str, seen: object, allowed: object) -> str:
    if allowed is None:
        return ""
    values = allowed if isinstance(allowed, list) else [allowed]
    return "" if seen in values else f"{what} {seen!r}, want {values}"


def _header(whose: str, headers: Iterable[Iterable[str]], check: list[Any]) -> str:
    name, operator, value = check
    values = [text for key, text in headers if key.lower() == name]
    seen = ",".join(values) if values else None
    good = {
        "absent": lambda: seen is None,
        "eq": lambda: seen == value,
        "in": lambda: seen in value,
        "re": lambda: seen is not None and re.search(value, seen, re.DOTALL) is not None,
        "nre": lambda: seen is None or re.search(value, seen, re.DOTALL) is None,
    }[operator]()
    return "" if good else f"the {whose} header {name} is {seen!r} ({operator} {value!r})"


def _echo(echo: dict[str, Any] | None, wanted: dict[str, Any]) -> Iterable[str]:
    """What the application saw against what it should have seen."""
    if echo is None:
        yield "no echo"
        return
    for key, value in wanted.items():
        if key == "body":
            body = base64.b64decode(echo["body"])
            if body != value:
                yield f"the application got {len(body)} bytes {body[:50]!r}, want {value[:50]!r}"
        elif key == "hdr":
            for check in value:
                yield _header("application's", echo["headers"], check)
        elif key == "environ":
            for name, allowed in value.items():
                if echo["environ"].get(name) not in allowed:
                    yield f"environ {name} is {echo['environ'].get(name)!r}"
        else:
            yield _one_of(f"the application's {key}", echo.get(key), value)
