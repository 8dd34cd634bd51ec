"""Puts real x-rays behind the marks of docs/bare.md.

Run it after a change of what an x-ray shows: `python -m tools.bare_doc`. It serves the application
of tests/bare/docs_app.py by both interfaces. tests/bare/test_docs.py compares the document with
what is served then, and runs its examples.
"""

from __future__ import annotations

import re

from tests.support import ROOT, serve
from tests.xray.test_golden import GET, ask, blocks

DOCUMENT = ROOT / "docs" / "bare.md"
MARKED = re.compile(r"<!-- x-ray: (asgi|wsgi) GET (\S+) -->\n```\n(.*?)```\n", re.DOTALL)
TARGETS = {"asgi": "docs_app:app", "wsgi": "docs_app:wsgi"}


def real_block(interface: str, path: str) -> str:
    """Return what a server shows of a request."""
    options = ("--app-dir", str(ROOT / "tests" / "bare"), "--xray", "--loop", "asyncio")
    with serve(TARGETS[interface], *options, "--access-log", "off") as server:
        number = len(blocks(server)) + 1
        ask(server, GET.format(path).encode(), number)
        server.stop()
        return next(block for block in blocks(server) if block.startswith("#")).rstrip("\n")


def main() -> None:
    """Write the document anew."""
    text = MARKED.sub(
        lambda found: (
            f"<!-- x-ray: {found[1]} GET {found[2]} -->\n"
            f"```\n{real_block(found[1], found[2])}\n```\n"
        ),
        DOCUMENT.read_text("utf-8"),
    )
    DOCUMENT.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
