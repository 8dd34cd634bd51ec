"""From settings to logs: the access log and the error log as they are wanted, open.

What lives here: choosing formats and outputs, and refusing those that cannot be had. What must not:
the formats and outputs themselves (logs/). The access log is opened in the master, so that its file
is there, or is refused, before the first worker is.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from bare_serve.config.settings import Settings
from bare_serve.errors import UsageError
from bare_serve.logs import console, error_log
from bare_serve.logs.access_atoms import NAMED, template_format
from bare_serve.logs.access_format import Format, json_format, text_format
from bare_serve.logs.access_log import AccessLog
from bare_serve.logs.sinks import SYSLOG, FileSink, LoggerSink, Sink, check_writable, log_path
from bare_serve.system.privileges import Identity

Opened = TypeVar("Opened")


def open_access_log(settings: Settings) -> AccessLog | None:
    """Open the access log that the settings ask for; None for no log."""
    place = settings.access_log
    if place == "off":
        return None
    made = _access_format(settings)
    kind = _kind(settings)
    if place == "-":
        return kind(_standard_output() if settings.capture_output else 1, made)
    if place.startswith(SYSLOG):
        return kind(_syslog(place), made)
    return kind(_at(place, "--access-log", FileSink.at), made)


def embedded_access_log(settings: Settings) -> AccessLog | None:
    """Open the access log of a server inside a program, whose own logging stays as it is.

    What the settings ask for; if they ask for nothing, the logger "bare_serve.access", as far as it
    is enabled for INFO now.
    """
    if "access_log" in settings.sources:
        return open_access_log(settings)
    logger = logging.getLogger("bare_serve.access")
    if not logger.isEnabledFor(logging.INFO):
        return None
    made = _access_format(settings)
    if settings.access_log_format == "text" and settings.log_format == "text":
        # The logger's own format says the time.
        made = text_format(redact=settings.access_log_redact)._replace(stamp=lambda now: "")
    return _kind(settings)(LoggerSink(logger), made)


def _kind(settings: Settings) -> type[AccessLog]:
    own: tuple[str, ...] = ()
    if settings.reload:
        # A page asks twice a second which version serves: its lines would hide the application's.
        own = (import_module("bare_serve.dev.live").OWN_PATHS,)
    if not (own or settings.access_log_skip):
        return AccessLog
    module = import_module("bare_serve.logs.skipping")
    kind: type[AccessLog] = module.skipping(settings.access_log_skip, own)
    return kind


def _syslog(place: str) -> Sink:
    from bare_serve.logs.syslog import SyslogSink, parse_syslog  # few have one

    return SyslogSink(parse_syslog(place))


def _access_format(settings: Settings) -> Format:
    redact = settings.access_log_redact
    if settings.access_log_format != "text":
        template = NAMED.get(settings.access_log_format, settings.access_log_format)
        return template_format(template, redact)
    if settings.log_format == "json":
        return json_format(redact)
    if settings.access_log != "-":
        return text_format(redact=redact)
    colour = console.wants_colour(sys.stdout)
    if not console.is_terminal(sys.stdout):
        return text_format(colour=colour, redact=redact)
    made: Format = import_module("bare_serve.logs.access_terminal").terminal_format(
        functools.partial(_columns, _standard_output() if settings.capture_output else 1),
        colour=colour,
        redact=redact,
        gap="\u2026" if console.is_unicode_terminal(sys.stdout) else "...",
    )
    return made


def _columns(fd: int) -> int:
    """Return the columns of the terminal behind a descriptor; 0 once there is none."""
    try:
        return os.get_terminal_size(fd).columns
    except OSError:
        return 0


def _at(place: str, flag: str, open_it: Callable[[str], Opened]) -> Opened:
    path = log_path(place, flag)
    try:
        return open_it(path)
    except OSError as error:
        raise UsageError(f"{flag}: cannot write to {path}: {error.strerror}") from None


@functools.cache
def _standard_output() -> int:
    """Duplicate descriptor 1 for the access log: captured, 1 itself is the error log.

    One for the life of the process, or each reload would leave another behind.
    """
    return os.dup(1)


def set_up_logging(settings: Settings) -> None:
    """Set up where messages go.

    Raises:
        UsageError: a file cannot be written to, or --log-config is not what it should be.
    """
    _log_config(settings, error_log.configure_logging)
    set_up = functools.partial(
        error_log.set_up_logging, settings.log_level, json=settings.log_format == "json"
    )
    if settings.error_log == "-":
        set_up()
    else:
        _at(settings.error_log, "--error-log", lambda path: set_up(path=path))
    error_log.revive_logging()


def give_logs(identity: Identity | None, access_log: AccessLog | None) -> None:
    """Let the user that workers become open the log files again."""
    if identity is None:
        return
    error_log.give_error_log_to(identity.uid, identity.gid)
    if access_log is not None:
        access_log.give_to(identity.uid, identity.gid)


def check_logs(settings: Settings) -> None:
    """Look at what `set_up_logging` and `serve_options` would open, and leave no trace.

    Raises:
        UsageError: as they would; but what --log-config means is not tried out.
    """
    _log_config(settings, lambda config: None)
    if settings.error_log != "-":
        _at(settings.error_log, "--error-log", check_writable)
    place = settings.access_log
    if place == "off":
        return
    _access_format(settings)
    if place.startswith(SYSLOG):
        _syslog(place).close()
    elif place != "-":
        _at(place, "--access-log", check_writable)


def _log_config(settings: Settings, use: Callable[[dict[str, Any]], None]) -> None:
    if settings.log_config is None:
        return
    path = Path(settings.log_config).resolve()
    try:
        text = path.read_text(encoding="utf-8")
        config = _toml(text) if path.suffix == ".toml" else json.loads(text)
        if not isinstance(config, dict):
            raise ValueError("it is not an object")
    except OSError as error:
        raise UsageError(f"--log-config: cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        form = "TOML" if path.suffix == ".toml" else "JSON (or TOML, if its name ends in .toml)"
        raise UsageError(f"--log-config: {path} has to be {form}: {error}") from None
    try:
        use(config)
    except ValueError as error:
        raise UsageError(f"--log-config: {path}: {error}") from None


def _toml(text: str) -> object:
    import tomllib  # 4 ms of each start that few need

    return tomllib.loads(text)
