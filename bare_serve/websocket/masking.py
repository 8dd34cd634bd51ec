"""Taking the mask off (RFC 6455, 5.3): the one loop over every byte a client sends.

What lives here: `unmask`, and which of its three ways is taken. What must not: anything else.

HOT PATH. Microseconds for 64 B, 1 KiB, 16 KiB, 1 MiB: as one large integer 0.4, 1.8, 20, 5500; four
byte tables on every fourth byte 0.6, 1.6, 14, 1260; integers of 512 bytes, or tables without the
first copy, are slower than these. The C function of the `websockets` package, which the extra
`speed` installs: 0.05, 0.06, 0.3, 22.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_INTEGER_UP_TO: Final = 700
_TABLES = tuple(bytes(byte ^ key for byte in range(256)) for key in range(256))


def unmask_in_python(data: bytes, key: bytes) -> bytes:
    """Return `data` with `key`, four bytes, taken off."""
    size = len(data)
    if size <= _INTEGER_UP_TO:
        mask = int.from_bytes((key * (size // 4 + 1))[:size], "little")
        return (int.from_bytes(data, "little") ^ mask).to_bytes(size, "little")
    result = bytearray(data)
    for offset in range(4):
        result[offset::4] = result[offset::4].translate(_TABLES[key[offset]])
    return bytes(result)


unmask: Callable[[bytes, bytes], bytes]
try:
    from websockets.speedups import apply_mask as unmask
except ImportError:  # everything works without it
    unmask = unmask_in_python
