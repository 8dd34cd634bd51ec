"""Starts fastpysgi from Python, as its README does: serve_fastpysgi.py TARGET PORT WORKERS.

Its command line has no option for workers and none for bodies above 10,000,000 bytes.
"""

from __future__ import annotations

import importlib
import sys

import fastpysgi

if __name__ == "__main__":
    module, _, attribute = sys.argv[1].partition(":")
    fastpysgi.server.max_content_length = 100_000_000
    fastpysgi.run(
        getattr(importlib.import_module(module), attribute),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        workers=int(sys.argv[3]),
    )
