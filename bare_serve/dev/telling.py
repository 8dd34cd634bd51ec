"""A worker's slot that tells the master which files the worker has imported.

It looks at the tick, and at nothing but a length most of the time, so that modules of the first
request are watched a second later. What must not live here: which files those are (imports.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from bare_serve.dev.imports import Imports, files_of

if TYPE_CHECKING:
    from bare_serve.supervision.worker_process import WorkerSlot

_AT_ONCE: Final = 200
"""Files in one message."""


class TellingSlot:
    """See workers.slot.Slot: another slot, and this."""

    def __init__(self, slot: WorkerSlot) -> None:
        self._slot = slot
        self._imports = Imports()
        self.facts: dict[str, str] = {}
        """What is told besides, once the worker is ready."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._slot, name)

    def ready(self, facts: Mapping[str, str]) -> None:
        """See workers.slot.Slot."""
        self._slot.ready({**facts, **self.facts})
        self.tell()

    def beat(self, connections: int, requests: int) -> None:
        """See workers.slot.Slot."""
        self._slot.beat(connections, requests)
        self.tell()

    def tell(self, error: BaseException | None = None) -> None:
        """Tell what is new, and where an import has failed that is in no module now."""
        files = [*self._imports.new(), *files_of(error)]
        for start in range(0, len(files), _AT_ONCE):
            self._slot.imported(files[start : start + _AT_ONCE])
