"""The traceparent of W3C Trace Context (recommendation of 2021, section 3.2): its grammar.

What lives here: which values are sound. What must not: where the field stands, what becomes of it.
"""

from __future__ import annotations

import re

# Section 3.2.2: version, trace-id, parent-id and flags in lower-case hex; version 00 has no more,
# later ones may go on behind a dash. All zeros are no ids, and version ff is forbidden.
_SOUND = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
).fullmatch


def trace_id(traceparent: bytes) -> str | None:
    """Return the id of the trace, 32 hex digits; None if the value is not sound."""
    match = _SOUND(traceparent)
    if match is None or (match[1] == b"00" and match[3] is not None):
        return None
    return match[2].decode("ascii")
