"""Commands of gunicorn and uvicorn in the files that people start them by.

What lives here: finding such a command in the text of a Procfile, a systemd unit, a Dockerfile, a
compose file, a manifest of Kubernetes or a script, as a list of words. What must not: what its
flags mean (migrate.py). Nothing is run, and no shell is imitated beyond the splitting of words.

Of YAML only that much is understood: a key with a text, with a list, or with lines below it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

PROGRAMS: Final = ("gunicorn", "uvicorn")
_INTRODUCED: Final = re.compile(
    r"\s*(?:-\s+)?(?:ExecStart=[-@:+!|]*|[\w-]+:\s|CMD\b|ENTRYPOINT\b|exec\s)\s*(.+)"
)
_NOT_RUN: Final = re.compile(r"\s*(?:(?:RUN|LABEL|FROM|ARG|ENV|HEALTHCHECK)\s|[A-Z][a-z]\w*=|#)")
"""Lines of a Dockerfile that make an image, and those of a unit that start nothing."""
_STARTS: Final = re.compile(r"\s*ExecStart=")
_ENDS: Final = re.compile(r"&&?|\|\|?|;|\d*(?:>>?|<|>&\d)(?:[\w./][\w./-]*)?")
"""A word by which a shell ends a command, or sends its output elsewhere."""
_KEY: Final = re.compile(r"(\s*)((?:-\s+)?)([\w.-]+):(?:\s+(.*))?$")
_FOLDED: Final = re.compile(r"[>|][-+\d]*$")
_BEHIND: Final = {"entrypoint": "command", "command": "args", "ENTRYPOINT": "CMD"}
"""Keys whose words stand in front of another's, where both are there."""


class _Entry(NamedTuple):
    """A key of YAML, or an instruction of a Dockerfile, and its words."""

    key: str
    line: int
    indent: int
    words: list[str]


def find(text: str, is_yaml: bool) -> list[list[str]]:
    """Return the commands in a text, as words; those that have arguments if any has some."""
    text = re.sub(r"[ \t]*\\\r?\n\s*", " ", text)
    lines = text.splitlines()
    entries = [*(_of_yaml(lines) if is_yaml else _of_docker(lines))]
    found = [_program_on([*each.words, *_behind(each, entries, lines)]) for each in entries]
    if not any(found) and not is_yaml:
        found = [_program_on(_split(line)) for line in lines]
    commands = [command for command in found if command]
    return [command for command in commands if command[-1] not in PROGRAMS] or commands


def program(command: Sequence[str]) -> int | None:
    """Return the place of the program's name; None if there is none of the two."""
    names = [os.path.basename(word) for word in command]  # noqa: PTH119
    return next((number for number, name in enumerate(names) if name in PROGRAMS), None)


def ended(command: Sequence[str]) -> list[str]:
    """Return a command without what a shell reads as its end."""
    made: list[str] = []
    for word in command:
        if _ENDS.fullmatch(word):
            break
        made.append(word.removesuffix(";"))
        if word.endswith(";"):
            break
    return made


def _program_on(words: list[str]) -> list[str]:
    """Return a command with its program; nothing if it is none, or installs one."""
    at = program(words)
    if at is None:
        # As in: sh -c "exec gunicorn shop"
        inner = [_split(word) for word in words if re.search(r"\s", word)]
        return next(filter(None, map(_program_on, inner)), [])
    if {"install", "add"} & {*words[:at]}:
        return []
    return [*words[:at], *ended(words[at:])]


def _split(line: str) -> list[str]:
    """Return the words of a line, without what introduces a command."""
    if _NOT_RUN.match(line) and not _STARTS.match(line):
        return []
    match = _INTRODUCED.match(line)
    return _words(match[1] if match is not None else line)


def _words(text: str) -> list[str]:
    """Return the words of a text, or of a list; none if it cannot be split."""
    text = text.strip()
    if text.startswith("["):
        with_quotes = re.sub(r"([\[,]\s*)([^\s\"'\[\],][^,\]]*)", _quoted, text.replace("'", '"'))
        try:
            return [*map(str, json.loads(with_quotes))]
        except ValueError:
            return []
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return []


def _quoted(match: re.Match[str]) -> str:
    return match[1] + json.dumps(match[2].strip())


# ---------------------------------------------------------------------------------- two kinds


def _of_docker(lines: Sequence[str]) -> Iterator[_Entry]:
    """Yield what the last stage starts; the last instruction of a kind is the one that counts."""
    last: dict[str, _Entry] = {}
    for number, line in enumerate(lines):
        if re.match(r"\s*FROM\s", line):
            last.clear()
        if match := re.match(r"\s*(CMD|ENTRYPOINT)\s+(.+)", line):
            last[match[1]] = _Entry(match[1], number, 0, _words(match[2]))
    yield from last.values()


def _of_yaml(lines: Sequence[str]) -> Iterator[_Entry]:
    for number, line in enumerate(lines):
        match = _KEY.match(line)
        if match is None or line.lstrip().startswith("#"):
            continue
        indent = len(match[1]) + len(match[2])
        below = _below(lines, number, indent)
        text = (match[4] or "").strip()
        if text.startswith("#"):
            text = ""
        if not text and below and below[0].startswith("-"):
            words = [_scalar(item[1:]) for item in below if item.startswith("-")]
        elif text.startswith("|"):
            # Lines of a script: the one with the command.
            words = next(filter(None, (_program_on(_words(each)) for each in below)), [])
        elif _FOLDED.match(text) or not text:
            words = [] if any(map(_KEY.match, below)) else _words(" ".join(below))
        else:
            more = [] if any(map(_KEY.match, below)) else below
            words = _words(" ".join((_scalar(text) if text[0] in "\"'" else text, *more)))
        yield _Entry(match[3], number, indent, words)


def _below(lines: Sequence[str], number: int, indent: int) -> list[str]:
    """Return the lines that belong to the key of a line, without blanks around them."""
    found: list[str] = []
    for line in lines[number + 1 :]:
        bare = line.strip()
        depth = len(line) - len(line.lstrip())
        if not bare or bare.startswith("#"):
            continue
        if depth < indent or (depth == indent and not bare.startswith("-")):
            break
        found.append(bare)
    return found


def _scalar(text: str) -> str:
    """Return a text of YAML without its quotes."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return re.sub(r"\s+#.*", "", text)


def _behind(entry: _Entry, entries: Sequence[_Entry], lines: Sequence[str]) -> list[str]:
    """Return the words of what stands in the same place and is put behind an entry's."""
    wanted = _BEHIND.get(entry.key)
    found = [each for each in entries if each.key == wanted and each.indent == entry.indent]
    for each in reversed(found):
        first, last = sorted((entry.line, each.line))
        between = [line for line in lines[first:last] if line.strip()]
        if all(len(line) - len(line.lstrip()) >= entry.indent for line in between[1:]):
            return [] if program(each.words) is not None else each.words
    return []
