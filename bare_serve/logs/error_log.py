"""The error log: what the logger "bare_serve" says, in a file or on standard error.

Lines for people or JSON. Logging is set up for the logger "bare_serve" alone: the application's own
loggers are its own business, but for the files of those that --log-config has set up, which are
reopened with ours.

What must not be here: the banner and errors of the command (logs/console.py), settings; it is
handed texts.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import os
import re
import sys
import time
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bare_serve.logs.console import paint, say, wants_colour
from bare_serve.logs.sinks import Backlog, FileSink, lines
from bare_serve.logs.zone import stamp

LOGGER = "bare_serve"
_configured: weakref.WeakSet[logging.FileHandler] = weakref.WeakSet()
"""What --log-config has set up."""
_NUMBER = re.compile(r"([0-9]{1,18})(?:, (.+)| \((.+)\))?", re.ASCII)
"""A number, with or without a reason: "4", "2 (auto: the cores of this machine)"."""
_LEVEL_COLOURS = {"DEBUG": "dim", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


def log_facts(title: str, rows: Iterable[tuple[str, str]]) -> bool:
    """Say in the log what the banner says, if the log is JSON; return whether it is.

    A reader of JSON takes no other lines.
    """
    handler = _ours()
    if handler is None or not isinstance(handler.formatter, _JsonFormatter):
        return False
    logging.getLogger(LOGGER).info("%s serves.", title, extra={"facts": _grouped(rows)})
    return True


def _grouped(rows: Iterable[tuple[str, str]]) -> dict[str, str | int]:
    """Return rows as an object: those of one name together, a number as a number."""
    texts: dict[str, str] = {}
    for name, fact in rows:
        texts[name] = f"{texts[name]}, {fact}" if name in texts else fact
    found: dict[str, str | int] = {}
    for name, text in texts.items():
        match = _NUMBER.fullmatch(text)
        found[name] = text if match is None else int(match[1])
        if match is not None and (reason := match[2] or match[3]):
            found[f"{name}_reason"] = reason
    return found


class _Handler(logging.Handler):
    """Writes to the error log's file, or to whatever sys.stderr is at the moment.

    A message is written at once, since it may be the last one; a pipe that no process reads
    blocks no process.
    """

    def __init__(self, path: str = "") -> None:
        super().__init__()
        self.path = path
        self.sink: FileSink | None = None
        if path:
            self.sink = FileSink.at(path)
        elif (stream := sys.stderr) is not None and id(stream) == id(sys.__stderr__):
            with contextlib.suppress(OSError, ValueError):
                self.sink = FileSink(stream.fileno())
        self._backlog: Backlog | None = None
        if self.sink is not None:
            self._backlog = Backlog(self.sink, lambda reason: None, self._tell)
        self._stream = sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record) + "\n"
        except Exception:  # noqa: BLE001 (a message that does not fit its arguments)
            text = f"{record.levelname} {record.msg!r} % {record.args!r}\n"
        if self._backlog is None or (not self.path and sys.stderr is not self._stream):
            say(text)
        else:
            self._backlog.write(text.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Try again what was not taken; for the end of the process."""
        if self._backlog is not None and self._backlog.holds:
            self._backlog.write(b"")

    def _tell(self, state: str, dropped: int) -> None:
        """In the log itself, behind what was kept."""
        assert self._backlog is not None
        record = logging.LogRecord(
            LOGGER, logging.WARNING, "", 0, "The error log %s; %s lost.",
            (state, lines(dropped)), None,
        )  # fmt: skip
        with contextlib.suppress(OSError):
            self._backlog.sink.send(f"{self.format(record)}\n".encode())


class _Formatter(logging.Formatter):
    """Time, level, pid, message."""

    def __init__(self, colour: bool) -> None:
        super().__init__("%(asctime)s %(levelname)s [%(process)d] %(message)s")
        self.colour = colour

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return stamp(record.created)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        text = super().formatMessage(record)
        hue = _LEVEL_COLOURS.get(record.levelname)
        return (
            text
            if hue is None
            else text.replace(record.levelname, paint(record.levelname, hue, self.colour), 1)
        )

    def formatException(self, ei: Any) -> str:  # noqa: N802 (as logging has it)
        """Return a traceback with the frames of libraries folded; all of them with debug."""
        if ei[1] is None or logging.getLogger(LOGGER).isEnabledFor(logging.DEBUG):
            return super().formatException(ei)
        folding = importlib.import_module("bare_serve.app.folding")  # where nothing fails: late
        text: str = folding.folded(ei[1], ei[2])
        return text.removesuffix("\n")


class _JsonFormatter(logging.Formatter):
    """One object a line; its keys are listed in docs/logging.md and only ever added to."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "worker": record.process,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            entry["exception"] = {
                "type": record.exc_info[0].__qualname__,
                "message": str(record.exc_info[1]),
                "traceback": self.formatException(record.exc_info),
                "frames": [
                    {"file": frame.filename, "line": frame.lineno, "function": frame.name}
                    for frame in traceback.extract_tb(record.exc_info[2])
                ],
            }
        return json.dumps(entry)


def set_up_logging(level: str, *, json: bool = False, path: str = "") -> None:
    """Send what "bare_serve" logs to the file or to standard error.

    Unless --log-config or a program around run() has set one up already.

    Raises:
        OSError: the file cannot be written to.
    """
    logger = logging.getLogger(LOGGER)
    handler = _ours()
    if logger.handlers and handler is None:
        return
    logger.setLevel(level.upper())
    if handler is None or handler.path != path:
        fresh = _Handler(path)
        if handler is not None:
            logger.removeHandler(handler)
            handler.close()
        handler = fresh
        logger.addHandler(handler)
        logger.propagate = False
    coloured = not path and wants_colour(sys.stderr)
    handler.setFormatter(_JsonFormatter() if json else _Formatter(coloured))


def is_coloured() -> bool:
    """Return whether lines of the error log have colours."""
    handler = _ours()
    formatter = None if handler is None else handler.formatter
    return isinstance(formatter, _Formatter) and formatter.colour


def show_exceptions(show: Callable[[BaseException, bool], str]) -> None:
    """Have `show` write exceptions, which is told whether to colour them; JSON stays what it is.

    In this process, and until logging is set up again.
    """
    handler = _ours()
    formatter = None if handler is None else handler.formatter
    if isinstance(formatter, _Formatter):
        colour = formatter.colour
        setattr(formatter, "formatException", lambda raised: show(raised[1], colour).rstrip("\n"))


def configure_logging(config: Mapping[str, Any]) -> None:
    """Have logging set up by a dictConfig; ours is its business then as far as it names it.

    Raises:
        ValueError: it cannot be done that way; the message says why.
    """
    # Not at the top: only this needs it, and the master is to stay small.
    module = importlib.import_module("logging.config")
    before = set(_file_handlers())
    try:
        module.dictConfig({"version": 1, "disable_existing_loggers": False, **config})
    except Exception as error:  # noqa: BLE001 (whatever the classes it names raise)
        cause = f": {error.__cause__}" if error.__cause__ is not None else ""
        raise ValueError(f"{error}{cause}") from None
    _configured.update(set(_file_handlers()) - before)


def capture_output() -> None:
    """Have descriptors 1 and 2 lead to the error log, and Python's streams with them."""
    handler = _ours()
    fd = handler.sink.fd if handler is not None and handler.sink is not None else 2
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    for number in (1, 2):
        if number != fd:
            os.dup2(fd, number)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Lines appear when they are printed, as on a terminal, and between those of the log.
        sys.stdout.reconfigure(line_buffering=True)


def reopen_error_log(*, captured: bool = False) -> None:
    """Go on in a new file of the same name, also those that --log-config has set up.

    What the application has opened is its own business.
    """
    handler = _ours()
    if handler is not None and handler.sink is not None:
        handler.acquire()
        try:
            handler.sink.reopen()
        except OSError as error:
            logging.getLogger(LOGGER).error(
                "Cannot reopen the error log %s: %s.", handler.path, error.strerror
            )
        finally:
            handler.release()
        if captured and handler.path:
            capture_output()
    for other in {*_configured, *_file_handlers(LOGGER)}:
        _reopen(other)


def _file_handlers(below: str = "") -> Iterator[logging.FileHandler]:
    """Yield the handlers of all loggers, or of this one and those below it."""
    every = {"": logging.getLogger(), **logging.Logger.manager.loggerDict}
    for name, logger in every.items():
        if not below or name == below or name.startswith(f"{below}."):
            for handler in getattr(logger, "handlers", ()):
                if isinstance(handler, logging.FileHandler):
                    yield handler


def _reopen(handler: logging.FileHandler) -> None:
    """Have the next message open the file again, if it has been moved away."""
    handler.acquire()
    try:
        stream: Any = handler.stream
        if stream is None:
            return
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(stream.fileno()), Path(handler.baseFilename).stat()):
                return
        # Not handler.close(): one of mode "w" would be silent from then on.
        handler.stream = None
        with contextlib.suppress(OSError):
            stream.close()
    finally:
        handler.release()


def give_error_log_to(uid: int, gid: int) -> None:
    """Let the user that workers become reopen it."""
    handler = _ours()
    if handler is not None and handler.sink is not None:
        handler.sink.give_to(uid, gid)


def _ours() -> _Handler | None:
    handlers = logging.getLogger(LOGGER).handlers
    return next((handler for handler in handlers if isinstance(handler, _Handler)), None)


def revive_logging() -> None:
    """Undo what logging.config does by default to loggers that existed before: silence them.

    Called after the application was imported; Django and many others configure logging there.
    """
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if name.split(".")[0] == LOGGER and isinstance(logger, logging.Logger):
            logger.disabled = False
