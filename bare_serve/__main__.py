"""`python -m bare_serve` is `bare-serve`: both begin here, with as little work as can be.

What is imported now stays until the end, so Python's collector need not look at it: not while it
grows (a fifteenth of the time), not in the workers, where to look at it is also to copy it.
"""

from __future__ import annotations

import gc
from typing import NoReturn


def main() -> NoReturn:
    """Run the command and exit."""
    gc.disable()
    from bare_serve import cli

    gc.freeze()
    gc.enable()
    cli.main()


if __name__ == "__main__":
    main()
