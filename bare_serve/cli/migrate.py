"""`bare-serve --migrate FILE|COMMAND`: what is set for gunicorn or uvicorn, as a file of ours.

What lives here: which settings there are, by name, and where each comes from. What must not: what
they come to here (migrated.py), the syntax of a gunicorn.conf.py (conf_file.py). Nothing is run or
imported, and no file is written.

FILE is a gunicorn.conf.py, or a file in which a command stands: a Procfile, a systemd unit, a
compose file, a Dockerfile. COMMAND is all that follows. Without either, the variables and a
gunicorn.conf.py of the current directory are read.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bare_serve.cli import commands_in, conf_file
from bare_serve.cli.compat import ours, words
from bare_serve.cli.migrated import Migration, Setting, is_hook
from bare_serve.cli.unread import is_of_uvicorn
from bare_serve.config.foreign import BY_FLAG, SWITCHES, by_key
from bare_serve.config.settings import BY_NAME, OPTIONS
from bare_serve.errors import UsageError

_ARGUMENTS: Final = "GUNICORN_CMD_ARGS"
_CONF: Final = "gunicorn.conf.py"
_NAME: Final = r"(UVICORN_\w+|GUNICORN_CMD_ARGS)"
_SETS: Final = re.compile(
    rf"""(["']){_NAME}=([^"']*)\1
    | \b{_NAME}["']?\s*[:=]\s*["']([^"']*)["']
    | \b{_NAME}=(\S+)
    | \b{_NAME}:\s+(\S.*)""",
    re.VERBOSE,
)
"""A variable as a unit, a Dockerfile, a compose file or a shell sets it."""
_NAME_AND_VALUE: Final = re.compile(rf"""name:\s*["']?{_NAME}["']?\s*\n\s*value:\s*(\S.*)""")
"""The same in a manifest of Kubernetes."""


def migrate(args: Sequence[str], environ: Mapping[str, str] = os.environ) -> str:
    """Return the text of a bare-serve.toml.

    Args:
        args: what stands behind --migrate.
        environ: variables that the other servers would read.

    Raises:
        UsageError: there is nothing to read, or it cannot be read.
    """
    migration = Migration(shlex.join(args) if len(args) != 1 else args[0])
    if not args:
        _nothing_named(migration, environ)
    elif len(args) == 1 and Path(args[0]).is_file():
        _file(Path(args[0]), migration)
    else:
        command = _split(args[0], "the command") if len(args) == 1 else list(args)
        if len(command) == 1 and Path(command[0]).is_dir():
            raise UsageError(f"--migrate: {command[0]} is a directory; name a file in it")
        if len(command) == 1 and command[0] not in commands_in.PROGRAMS:
            raise UsageError(f"--migrate: there is no file {args[0]}, and it is no command")
        _variables(environ, migration)
        _command(command, migration, Path())
    return migration.text()


def _split(text: str, what: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--migrate: {what} cannot be split into words: {error}: {text}") from None


def _nothing_named(migration: Migration, environ: Mapping[str, str]) -> None:
    has_file = Path(_CONF).is_file()
    if has_file:
        _conf(Path(_CONF), migration)
    _variables(environ, migration)
    if not (has_file or migration.settings):
        raise UsageError(
            "--migrate: name a file (gunicorn.conf.py, Procfile, a systemd unit, a compose file, a "
            "Dockerfile) or a command, such as: bare-serve --migrate gunicorn -w 4 shop.wsgi"
        )


def _file(path: Path, migration: Migration) -> None:
    if path.suffix == ".py":
        _conf(path, migration)
        return
    try:
        # What is not UTF-8 is in a comment, or will be seen where it is printed.
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise UsageError(f"--migrate: cannot read {path}: {error.strerror}") from None
    one_line = re.sub(r"\\\r?\n\s*", " ", text)
    one_line = _NAME_AND_VALUE.sub(r"\1: \2", one_line)
    for line in one_line.splitlines():
        for groups in _SETS.findall("" if line.lstrip().startswith("#") else line):
            name, value = [each for each in groups[1:] if each][:2]
            _variables({name: value.strip()}, migration)
    commands = commands_in.find(text, path.suffix in (".yaml", ".yml"))
    if commands:
        _command(commands[0], migration, path.parent)
    elif not migration.settings:
        raise UsageError(f"--migrate: {path} has no command of gunicorn or uvicorn")
    for other in commands[1:]:
        migration.remark(
            f"another command in {path.name}, which is not in here: {shlex.join(other)}"
        )


def _conf(path: Path, migration: Migration) -> None:
    found = conf_file.read(path)
    migration.functions = found.functions
    for entry in found.assigned:
        if is_hook(entry.name):  # a lambda, or a function of another module
            head = f"{entry.name} = {' '.join(entry.source.split())}"
            migration.functions.append(conf_file.Function(entry.name, entry.line, head))
            continue
        where = f"{path.name}, line {entry.line}"
        value = entry.value if entry.known else None
        setting = Setting(entry.name, value, entry.source, where, entry.known, entry.notes)
        migration.add(setting, of_gunicorn=True)
    for module, line in found.stars:
        migration.remark(
            f"from {module} import * ({path.name}, line {line}): what is set there is not read "
            "with this file; --migrate reads that file alone"
        )
    migration.file = path.name
    migration.of_gunicorn = True


def _variables(environ: Mapping[str, str], migration: Migration) -> None:
    if arguments := environ.get(_ARGUMENTS):
        migration.of_gunicorn = True
        _line(_split(arguments, _ARGUMENTS), migration, _ARGUMENTS)
    for name in sorted(environ):
        if is_of_uvicorn(name) and environ[name]:
            key, text = name.removeprefix("UVICORN_").lower(), environ[name]
            value = _of_text(key, text)
            row = by_key(key)
            if row is not None and row.option and BY_NAME[row.option].kind.separator:
                # As uvicorn splits what may be repeated; its flag has the singular, as ours has.
                key, value = row.option, [*map(row.convert, text.split())]
            migration.add(Setting(key, value, text, name))


def _of_text(key: str, text: str) -> object:
    flag = f"--{key.replace('_', '-')}"
    row = BY_FLAG.get(flag)
    switch = flag in SWITCHES or (row is not None and (row.switch or row.value is not None))
    if switch or any(option.name == key and option.kind.switch for option in OPTIONS):
        return text.lower() in ("1", "true", "t", "yes", "y", "on")
    return text


def _command(command: Sequence[str], migration: Migration, directory: Path) -> None:
    at = commands_in.program(command)
    if at is None:
        raise UsageError("--migrate: the command is none of gunicorn or uvicorn")
    of_gunicorn = command[at].endswith("gunicorn")
    migration.of_gunicorn = migration.of_gunicorn or of_gunicorn
    for word in command[:at]:
        name, equals, value = word.partition("=")
        if equals and name.isidentifier():
            _variables({name: value}, migration)
    line = commands_in.ended(command[at + 1 :])
    if of_gunicorn:
        flags = ("-c", "--config")
        named = next((value for flag, value in _pairs(line) if flag in flags), "")
        conf = directory / (named or _CONF).removeprefix("file:")
        if conf.is_file() and not migration.file:
            before, migration.settings = migration.settings, {}
            _conf(conf, migration)
            migration.settings.update(before)
        elif named:
            migration.remark(f"-c {named}: there is no {conf}; once it is, --migrate reads it")
        line = _without(line, flags)
    _line(line, migration, "command line")


def _pairs(line: Sequence[str]) -> Iterator[tuple[str, str]]:
    for word in words(line, ours()):
        if word.value is not None:
            yield word.text, word.value


def _without(line: Sequence[str], flags: tuple[str, ...]) -> list[str]:
    return [
        written
        for word in words(line, ours())
        if word.text not in flags
        for written in word.written
    ]


def _line(args: Sequence[str], migration: Migration, where: str) -> None:
    """Take the flags of a line; the one word that is none is the application."""
    known = {flag: option for option in OPTIONS for flag in (option.flag, option.short) if flag}
    flags = {flag: takes for flag, takes in ours().items() if flag not in SWITCHES}
    for word in words(args, flags):
        if not word.text.startswith("-"):
            if (before := migration.settings.get("wsgi_app")) and before.where == where:
                migration.remark(f"{word.text}: {before.value} is the application already")
            else:
                migration.add(Setting("wsgi_app", word.text, word.text, where))
            continue
        row = None if word.text in known else BY_FLAG.get(word.text)
        if word.text in known:
            name = known[word.text].name
        elif row is not None and row.names:
            name = row.names[0] if not row.option else row.names[-1]
        else:
            name = word.text.lstrip("-").replace("-", "_")
        value: object = True if word.value is None else word.value
        migration.add(Setting(name, value, word.value or "", where, flag=word.text))
