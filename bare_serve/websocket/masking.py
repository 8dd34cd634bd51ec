"""Taking the mask off (RFC 6455, 5.3): the one loop over every byte a client sends.

What lives here: `unmask`, and which of its two ways is taken. What must not: anything else.

HOT PATH. Microseconds for 64 B, 1 KiB, 16 KiB, 1 MiB: as one large integer 0.4, 1.8, 20, 5500; four
byte tables on every fourth byte 0.6, 1.6, 14, 1260; integers of 512 bytes, or tables without the
first copy, are slower than these. The C function of the `websockets` package, which is installed
with bare-serve on CPython: 0.05, 0.06, 0.3, 22.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader, PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Final, cast

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


Unmask = Callable[[bytes, bytes], bytes]


def _in_c() -> Unmask | None:
    """Return the C function of `websockets`; None where it is not to be had.

    The file with the function is loaded alone: the package around it imports importlib.metadata,
    which takes 20 ms and 2 MiB of each worker. Other code may be called `websockets` as well, in
    the directory of the application: so nothing but a C extension is loaded.
    """
    try:
        package = find_spec("websockets")
        if package is None or not package.submodule_search_locations:
            return None
        found = PathFinder.find_spec("websockets.speedups", package.submodule_search_locations)
        if found is None or not isinstance(found.loader, ExtensionFileLoader):
            return None
        module = module_from_spec(found)
        found.loader.exec_module(module)
        return cast(Unmask, module.apply_mask)
    except (ImportError, AttributeError, ValueError):  # built for another Python, or not that one
        return None


unmask: Unmask = _in_c() or unmask_in_python
