"""What a parser of heads is, and which one is taken.

What lives here: the `HeadParser` interface and `select_parser`. What must not: rules.

A parser tokenises one complete head; nothing else differs between parsers. Bodies, limits and the
rules of framing are shared (body.py, scanner.py, head.py). A parser that is not sure
returns None and the scanner, which is the law, decides; so a parser can be faster, never laxer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from bare_serve.errors import UsageError
from bare_serve.http.fields import Field
from bare_serve.http1.parser_python import PythonHeadParser

try:
    from bare_serve.http1.parser_httptools import HttptoolsHeadParser
except ImportError:  # no wheel for this platform: the pure-Python parser serves
    HttptoolsHeadParser = None  # type: ignore[assignment,misc]

Tokens = tuple[bytes, bytes, int, list[Field]]


class HeadParser(Protocol):
    """Splits a head into its parts."""

    def parse(self, block: bytes) -> Tokens | None:
        """Return method, target, minor version and fields of `block`, or None if unsure.

        `block` is a whole head with its blank line. Names come in lower case, values trimmed,
        both checked against the grammar.
        """


class ParserChoice(NamedTuple):
    """A parser by name, and how to make one for a connection."""

    name: str
    make: Callable[[], HeadParser]


def select_parser(name: str) -> ParserChoice:
    """Return the parser called `name`: `python`, `httptools`, or `auto` for the faster one.

    `auto` is the Python one: with the memo of repeated lines it beats llhttp's callbacks
    (`python -m benchmarks.core` shows both).

    Raises:
        UsageError: httptools is asked for and not installed, or the name is unknown.
    """
    if name == "httptools":
        if HttptoolsHeadParser is None:
            raise UsageError(
                "the httptools parser is not installed: run `pip install httptools`, "
                "or use --parser python"
            )
        return ParserChoice("httptools", HttptoolsHeadParser)
    if name in ("auto", "python"):
        return ParserChoice("python", PythonHeadParser)
    raise UsageError(f"unknown parser {name!r}: choose auto, python or httptools")
