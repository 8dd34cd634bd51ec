"""What every floor may know of the package: its version, and where its files lie.

`PACKAGE` tells the frames of this package from an application's in tracebacks and stacks. A module
that found the folder from its own `__file__` would be wrong, silently, after it has moved.
"""

from __future__ import annotations

__version__ = "0.1.0"

PACKAGE = __file__.rpartition("/")[0] + "/"
"""The folder of `bare_serve`, with a slash at its end."""
