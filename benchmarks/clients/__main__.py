"""`python -m benchmarks.clients`."""

from __future__ import annotations

from benchmarks.clients import main

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.clients")
