"""Settings of gunicorn or uvicorn as the text of a bare-serve.toml.

What lives here: what each setting comes to, and the text, hooks and all. What must not: where they
are read (migrate.py), the table of settings (config/foreign.py).

The text is TOML as a whole: what cannot be said in it, and why, is comments, so the output can be
written to bare-serve.toml as it is. Each value has passed the checks of a start.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from bare_serve.app.naming import parse_target
from bare_serve.cli.conf_file import Function
from bare_serve.cli.gunicorn_names import SETTINGS
from bare_serve.config import kinds
from bare_serve.config.foreign import BY_FLAG, SWITCH_VALUES, VALUES, by_key, for_files
from bare_serve.config.options import Option
from bare_serve.config.settings import BY_NAME
from bare_serve.errors import UsageError
from bare_serve.hooks.loading import GUNICORNS, NAMES

_VARIABLE: Final = re.compile(r"\$\{?(\w+)(?::?-([^}]*))?\}?")
_ANYWHERE: Final = re.compile(r"(0\.0\.0\.0|\[::\]|)?:(.*)")
_NO_PORT: Final = re.compile(r"[\w.-]+")
_READ: Final = {"port": "PORT", "workers": "WEB_CONCURRENCY",
                "forwarded_allow_ips": "FORWARDED_ALLOW_IPS"}  # fmt: skip
_YAML: Final = (
    "JSON or TOML is taken; of YAML make JSON by: python -c 'import json, sys, yaml; "
    "json.dump(yaml.safe_load(sys.stdin), sys.stdout)' < FILE > log.json"
)


class Setting(NamedTuple):
    """One setting of theirs."""

    name: str
    """As a key, with underscores."""
    value: object
    source: str
    """The value as it is written."""
    where: str
    known: bool = True
    notes: tuple[str, ...] = ()
    flag: str = ""
    """The flag, if it was one."""


class Migration:
    """What is set, and what it comes to."""

    def __init__(self, what: str) -> None:
        """Begin with nothing; `what` stands behind --migrate."""
        self._what = what
        self.settings: dict[str, Setting] = {}
        self.functions: list[Function] = []
        self.file = ""
        """The gunicorn.conf.py that was read, if one was."""
        self.of_gunicorn = False
        self._lines: list[str] = []
        self._undecided: list[str] = []
        self._left_out: list[str] = []
        self._keys: set[str] = set()

    def add(self, setting: Setting, *, of_gunicorn: bool = False) -> None:
        """Take a setting, in the place of what a weaker source has said.

        `of_gunicorn`: it is a name in a gunicorn.conf.py, which may be none of a setting.
        """
        name = setting.name
        if of_gunicorn and name not in SETTINGS:
            return  # a name of the file's own
        before = self.settings.get(name)
        many = name in BY_NAME and BY_NAME[name].kind.separator
        if before is not None and before.where == setting.where and (many or name == "raw_env"):
            values = before.value if isinstance(before.value, list) else [before.value]
            setting = setting._replace(value=[*values, setting.value])
        self.settings[name] = setting

    def remark(self, text: str) -> None:
        """Take what has to be decided on and is no setting."""
        self._undecided.append(text)

    # ------------------------------------------------------------------ the text

    def text(self) -> str:
        """Return the whole of it."""
        for setting in self.settings.values():
            self._take(setting)
        if "bind" in self._keys:  # it is stronger there, and a contradiction here
            for line in [each for each in self._lines if each.startswith(("host =", "port ="))]:
                self._lines.remove(line)
                self._left_out.append(f"{line}: bind says it")
        what = _one_line(f" {self._what}") if self._what else ""
        head = f"# Made by: bare-serve --migrate{what}\n"
        parts = [head, *(f"{line}\n" for line in self._lines)]
        parts += _comments("To be decided on:", self._undecided)
        parts += _comments("Left out, since it means nothing here:", self._left_out)
        parts += _comments("What differs unasked:", self._differences())
        return "".join((*parts, *self._hooks()))

    def _take(self, setting: Setting) -> None:
        name, value = setting.name, setting.value
        if not setting.known:
            self._undecide(setting, "its value cannot be told without running the file")
            return
        if value is None or value is False or value in ("", [], {}):
            if name in ("accesslog", "access_log"):
                self._write("access_log", "off", setting)
            elif name in BY_NAME and value is False:
                self._write(name, value, setting)
            return  # what is off there is off here
        if name in ("bind", "wsgi_app", "access_log") and self._special(setting):
            return
        row = None if name in BY_NAME else BY_FLAG.get(setting.flag) or by_key(name)
        if name in BY_NAME and name not in ("config", "env_file"):
            self._write(name, value, setting)
        elif name in ("config", "env_file"):
            option = BY_NAME[name]
            self._undecide(setting, f"no file says it: {option.flag} or {option.variable} does")
        elif row is None or not (row.option or row.text):
            self._undecide(setting, "it is no setting that is known here")
        elif row.option:
            ours = row.value if value is True and row.value is not None else value
            ours = [*map(row.convert, map(str, ours))] if isinstance(ours, list) else (
                row.convert(ours) if isinstance(ours, str) else ours
            )  # fmt: skip
            self._write(row.option, ours, setting)
        elif name == "raw_env":
            for each in value if isinstance(value, list) else [value]:
                self._undecide(setting._replace(value=each), "a line for the file of --env-file")
        else:
            verdict = row.verdict(str(value))
            (self._left_out if verdict.idle else self._undecided).append(
                f"{_shown(setting)}: {for_files(verdict.text)}"
            )
            if verdict.instead and not verdict.idle:
                self._instead(verdict.instead, setting)

    def _special(self, setting: Setting) -> bool:
        """Take what is not written as it stands; return whether it was taken."""
        name, value = setting.name, setting.value
        if name == "access_log":
            return value is True  # on, as it is here
        if name == "wsgi_app":
            try:
                parse_target(str(value))
            except UsageError as error:
                self._undecide(setting, str(error))
            else:
                self._write("app", str(value), setting)
            return True
        values = [str(each) for each in (value if isinstance(value, list) else [value])]
        [first, *others] = values
        match = _ANYWHERE.fullmatch(first)
        of_port = "PORT" in first or any("PORT" in note for note in setting.notes)
        if not others and match is not None and of_port:
            self._write("host", match[1] or "0.0.0.0", setting)
            self._write("port", match[2], setting)
            return True
        ours = [f"{each}:8000" if _NO_PORT.fullmatch(each) else each for each in values]
        self._write("bind", ours if others else ours[0], setting)
        return True

    def _write(self, name: str, value: Any, setting: Setting) -> None:
        """Write a key of ours, if its value holds."""
        option = BY_NAME[name]
        notes = list(setting.notes)
        if isinstance(value, str) and (found := _VARIABLE.search(value)) is not None:
            variable, default = found[1], found[2]
            if _READ.get(name) == variable and found[0] == value:
                self._left_out.append(f"{_shown(setting)}: {variable} is read by itself")
                if not default:
                    return
            if default is None:
                self._undecide(setting, f"set {option.variable} from {variable}, where it is known")
                return
            value = _VARIABLE.sub(default, value, count=1)
            notes.append(f"the default where {variable} is not set")
        try:
            value = _fitting(option, value)
        except UsageError as error:
            self._undecide(setting, str(error))
            return
        if name == "log_config" and not str(value).endswith((".json", ".toml")):
            self._undecide(setting, _YAML)
            return
        if option.key in self._keys:
            return
        self._keys.add(option.key)
        comment = f"  # {_one_line('; '.join(notes))}" if notes else ""
        self._lines.append(f"{option.key} = {_toml(value)}{comment}")

    def _instead(self, instead: str, setting: Setting) -> None:
        flag, _, value = instead.partition(" ")
        option = next((each for each in BY_NAME.values() if each.flag == flag), None)
        if option is not None and option.name not in self.settings:
            note = f"see {_shown(setting).partition('=')[0].partition(' ')[0]} below"
            self._write(option.name, value or True, setting._replace(notes=(note,)))

    def _undecide(self, setting: Setting, why: str) -> None:
        self._undecided.append(f"{_shown(setting)}: {why}")

    def _differences(self) -> Iterator[str]:
        if "forwarded-allow-ips" not in self._keys:
            yield (
                "gunicorn and uvicorn trust proxies of 127.0.0.1 unasked; "
                'here that is: forwarded-allow-ips = "127.0.0.1"'
            )
        named = str(self.settings["worker_class"].value) if "worker_class" in self.settings else ""
        if self.of_gunicorn and named in ("", "sync") and "threads" not in self._keys:
            yield (
                "a sync worker of gunicorn has one call at a time, a WSGI worker here up to 8, "
                "each in a thread; for an application that threads would harm: threads = 1"
            )
        if self.of_gunicorn and "access-log" not in self._keys:
            yield 'the access log is written to standard output; for none: access-log = "off"'

    # ------------------------------------------------------------------ hooks

    def _hooks(self) -> Iterator[str]:
        theirs = [each for each in self.functions if is_hook(each.name)]
        made: dict[str, list[Function]] = {}
        for function in theirs:
            ours = function.name if function.name in NAMES else GUNICORNS[function.name]
            made.setdefault(ours, []).append(function)
        without = made.pop("", [])
        yield from _comments(
            "Hooks without a counterpart:",
            [
                f"{each.name} ({self.file}, line {each.line}): nothing is called there"
                for each in without
            ],
        )
        if not made:
            return
        yield (
            '\n# Hooks. For a hooks.py, to be named by hooks = "hooks.py":\n'
            "#   sed -n 's/^#| \\{0,1\\}//p' bare-serve.toml > hooks.py\n"
        )
        for ours, functions in made.items():
            yield f"#| def {ours}(facts):\n"
            for each in functions:
                yield f"#|     # {self.file}, line {each.line}: {_one_line(each.head)}\n"
                for line in each.body:
                    yield _one_line(f"#|     #     {line.expandtabs()}") + "\n"
            yield "#|     pass\n#|\n"


def is_hook(name: str) -> bool:
    """Return whether a name in a gunicorn.conf.py is that of a hook, ours or theirs."""
    return name in NAMES or name in GUNICORNS


NUMERIC = ("N", "N|auto", "PORT", "SIZE", "TIME")
"""What kinds call a value that may be written as a number."""


def _fitting(option: Option, value: Any) -> Any:
    """Return a value as TOML has it.

    Raises:
        UsageError: our option does not take it.
    """
    if option.kind.metavar == "MODE" and isinstance(value, int):
        value = f"{value:03o}"
    if option.name in ("user", "group", "pid") and not isinstance(value, str):
        value = str(value)
    if isinstance(value, str):
        value = VALUES.get(option.flag, {}).get(value, value)
        if value in SWITCH_VALUES.get(option.flag, ()):
            return value != "off"
        if re.fullmatch(r"\d{1,9}", value) and option.kind.metavar in NUMERIC:
            value = int(value)
    if option.kind is kinds.DIRECTORY:  # the server may run elsewhere
        return str(value)
    read = kinds.read(option.kind, value, option.key)
    return read if option.kind.switch else value


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _shown(setting: Setting) -> str:
    if setting.flag:
        values = setting.value if isinstance(setting.value, list) else [setting.value]
        return " ".join((setting.flag, *(str(each) for each in values if each is not True)))
    value = setting.source if setting.where.endswith(f"{setting.name.upper()}") else ""
    if setting.name == "raw_env":
        return str(setting.value)
    if value:
        return f"{setting.where}={value}"
    return f"{setting.name} = {' '.join(setting.source.split())} ({setting.where})"


def _one_line(text: str) -> str:
    """Return a text that a comment holds: nothing in it begins a line of TOML."""
    return "".join(each if each.isprintable() else " " for each in text).rstrip()


def _comments(title: str, lines: Iterable[str]) -> Iterator[str]:
    lines = [*lines]
    if lines:
        yield f"\n# {title}\n"
        for line in lines:
            yield f"#   {_one_line(line)}\n"
