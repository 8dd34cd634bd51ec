"""What is said of a worker that has ended, or that never came up.

The same traceback again and again would only bury others, so each is shown once. Decides nothing.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from bare_serve.errors import AppLoadError, BareServeError, UsageError
from bare_serve.supervision.child import Child, State
from bare_serve.supervision.exit_reasons import exit_reason

logger = logging.getLogger("bare_serve.supervision")


class ExitReports:
    """Remembers what was said already."""

    def __init__(self) -> None:
        self._shown = ""
        self._killed_for_memory = _killed_for_memory()

    def find_reason(self, child: Child) -> None:
        """Have a worker that has ended know why."""
        by_kernel = False
        if child.was_killed_from_outside:
            before, self._killed_for_memory = self._killed_for_memory, _killed_for_memory()
            by_kernel = self._killed_for_memory > before
        child.ended_for = exit_reason(child, by_kernel=by_kernel)

    def boot_failed(self, message: str, details: str, then: str) -> None:
        """Say why a worker did not come up, and what follows."""
        if details and details != self._shown:
            logger.error("%s", details.rstrip("\n"))
            self._shown = details
        logger.error("%s %s", sentence(message), then)

    def worker_exited(self, child: Child, then: str) -> None:
        """Say how a worker that had come up has ended, what it was doing, and what follows."""
        level = logging.ERROR if child.ended_badly else logging.INFO
        logger.log(level, "%s %s.%s %s", child, how_it_ended(child), _doing(child), then)

    def worker_exited_while_stopping(self, child: Child) -> None:
        if child.ended_badly and child.failure is None:
            logger.warning("%s %s while stopping.%s", child, child.how_it_ended(), _doing(child))


def how_it_ended(child: Child) -> str:
    """Return how a worker has ended, to go on a sentence that begins with the worker."""
    how = child.how_it_ended()
    if child.was_killed_from_outside:
        by_kernel = child.ended_for == "oom"
        how += " by the kernel, for want of memory" if by_kernel else ", not by this server"
    return how


def sentence(message: str) -> str:
    """Add a full stop, if nothing ends it yet: another sentence follows."""
    text = message.rstrip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def failure_of(child: Child) -> tuple[str, str]:
    """Return why a worker never became ready, and the application's own traceback."""
    if child.failure is not None:
        return child.failure
    return f"{child} {child.how_it_ended()} before it was ready.", ""


def boot_error(child: Child) -> BareServeError:
    """Return what ends a server whose first worker never became ready."""
    message, details = failure_of(child)
    return UsageError(message) if child.was_misused else AppLoadError(message, details)


def _doing(child: Child) -> str:
    if not child.ended_badly or child.state is State.BOOTING:
        return ""
    doing = child.row.doing
    return f" It was at work on: {doing}." if doing else ""


def _killed_for_memory() -> int:
    """Return how many processes of this control group the kernel killed for want of memory."""
    with suppress(OSError, ValueError, IndexError):
        group = Path("/proc/self/cgroup").read_text().splitlines()[-1].partition("::")[2]
        events = Path("/sys/fs/cgroup", group.lstrip("/"), "memory.events").read_text()
        for line in events.splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
