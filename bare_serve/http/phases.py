"""What a connection, or one exchange of several on a connection, is waiting for.

What lives here: the numbers, in the order in which an exchange goes through them. What must not:
who goes from one to the next (http1/reader.py).
"""

from __future__ import annotations

from typing import Final

IDLE: Final = 0
"""For a request, of which nothing has come."""
HEAD: Final = 1
"""For the rest of a head."""
BODY: Final = 2
"""For the rest of a body."""
RESPONSE: Final = 3
"""For the answer: the request has been read to its end."""
CLOSED: Final = 4
"""For nothing: nothing is read any more."""
