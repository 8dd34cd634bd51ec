"""`python -m bare_serve` is `bare-serve`: both begin here, with as little work as can be.

Until the command runs there is nothing to tidy up, and a Ctrl-C simply ends the process: a
KeyboardInterrupt from the middle of an import would be a traceback that tells nobody anything.

What is imported now stays until the end, so Python's collector need not look at it: neither while
it grows, which is a fifteenth of the time, nor ever after.
"""

from __future__ import annotations

# Built in; the module around it takes 2 ms.
import _signal as signal  # type: ignore[import-not-found]

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import gc
import sys

from bare_serve.cli.verbs import VERBS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command and exit."""
    if len(sys.argv) > 1 and sys.argv[1] in VERBS:
        from bare_serve.cli.verbs import command

        command.main(sys.argv[1:])
    gc.disable()
    from bare_serve.cli import main as cli

    gc.freeze()
    gc.enable()
    cli.main()


if __name__ == "__main__":
    main()
