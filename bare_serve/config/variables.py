"""The variables of --env-file in the environment of the process.

What lives here: putting them there, and taking them back. What must not: reading the file
(config/env_file.py), which few have and which is imported only for those.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping


class Variables:
    """Those of --env-file in the environment, which is stronger."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ
        self._put: dict[str, str] = {}

    def put(self, variables: Mapping[str, str]) -> None:
        """Set these, and unset what the last call set."""
        for name, text in self._put.items():
            if self._environ.get(name) == text:
                del self._environ[name]
        self._put = {name: text for name, text in variables.items() if name not in self._environ}
        self._environ.update(self._put)
