"""`python -m benchmarks.core`."""

from __future__ import annotations

from benchmarks.core import main

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.core")
