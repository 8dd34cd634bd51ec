"""`python -m bare_serve` is `bare-serve`."""

from __future__ import annotations

from bare_serve.cli import main

if __name__ == "__main__":
    main()
