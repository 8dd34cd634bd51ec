"""Commands to a server that runs: `bare-serve status`, `top`, `stacks`, `xray`, `reload` and more.

They look at the server's shared memory and send signals, so they work on any server, whatever
options it was started with, and only for the same user and root: the kernel sees to that. What
lives here: which verb is which module. What must not: anything that is imported for serving. Each
module is imported only if its verb is asked for.
"""

from __future__ import annotations

from typing import Final

VERBS: Final = {
    "status": "status",
    "top": "top",
    "stacks": "stacks",
    "xray": "xray",
    "reload": "control",
    "replace": "control",
    "stop": "control",
}
"""Each verb, and the module of this folder that has it as `main(arguments) -> int`."""
