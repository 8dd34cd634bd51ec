"""What the tools of a browser show of an x-ray: the field Server-Timing (Server Timing, W3C).

What lives here: from a record to one line of a head. What must not: which answers get it
(http1/traced.py).
"""

from __future__ import annotations

import re
from itertools import islice
from time import perf_counter
from typing import Final

from bare_serve.xray.trace import Trace

_NOT_QUOTED: Final = re.compile(r"[^ !#-\[\]-~]")
"""What cannot stand in a quoted string as it is (RFC 9110, 5.6.4)."""
_MOST_LAYERS: Final = 20
_LONGEST_NAME: Final = 60


def server_timing(trace: Trace) -> bytes:
    """Return a line that tells where the time went, in milliseconds.

    `parse` is from the first byte to the head, `app` from the call to the head of the answer, and
    what follows are the layers of the application, each with all that it has called so far.
    """
    now = perf_counter()
    said = f"parse;dur={(trace.head_at - trace.began) * 1000:.2f}"
    if trace.called_at:
        said += f", app;dur={(now - trace.called_at) * 1000:.2f}"
    for number, (name, took) in enumerate(islice(trace.layer_times(), _MOST_LAYERS), 1):
        described = _NOT_QUOTED.sub("?", name[:_LONGEST_NAME])
        said += f', layer{number};desc="{described}";dur={took:.2f}'
    return f"Server-Timing: {said}\r\n".encode("ascii")
