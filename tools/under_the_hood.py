"""Puts real x-rays in the place of those in docs/under-the-hood.md.

Run it after a change of what an x-ray shows: `python -m tools.under_the_hood`. It serves the
applications of tests/xray/apps, asks what tests/xray/test_golden.py asks, and replaces each block
of the document by the new one of the same request. A test compares the document with the samples.
"""

from __future__ import annotations

import re

from tests.support import ROOT, serve
from tests.xray.test_golden import CASES, HERE, ask, blocks, masked

DOCUMENT = ROOT / "docs" / "under-the-hood.md"
FENCED = re.compile(r"(?<=^```\n)((?:#\d|lifespan ).*?\n)(?=```$)", re.MULTILINE | re.DOTALL)
USED = ("bare_wsgi", "bare_asgi", "errors_wsgi", "flask")
"""Names of cases whose blocks the document has."""


def real_blocks(name: str) -> list[str]:
    """Return what a server shows of the requests of a case."""
    target, requests = CASES[name]
    options = ("--app-dir", str(HERE / "apps"), "--xray", "--loop", "asyncio")
    with serve(target, *options, "--access-log", "off") as server:
        before = len(blocks(server))
        for number, raw in enumerate(requests, before + 1):
            ask(server, raw, number)
        server.stop()
        return blocks(server)


def key(block: str) -> str:
    """Return what is the same of two blocks of the same request: how they begin."""
    return "\n".join(masked(block).rstrip("\n").splitlines()[:6])


def main() -> None:
    """Write the document anew."""
    fresh = {key(block): block for name in USED for block in real_blocks(name)}
    text = DOCUMENT.read_text(encoding="utf-8")
    text = FENCED.sub(lambda found: fresh[key(found[1])].rstrip("\n") + "\n", text)
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
