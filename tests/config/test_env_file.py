"""The file of --env-file: by tables, and beside python-dotenv, whose rules it follows."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from dotenv.main import resolve_variables
from dotenv.parser import parse_stream
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bare_serve.config import env_file, sources
from bare_serve.errors import UsageError
from tests.support import RawClient, serve

KEY = "-----BEGIN KEY-----\nabc=\n-----END KEY-----\n"

READ: dict[str, dict[str, str]] = {
    "": {},
    "# comment\n\n  # another\n": {},
    "A=1": {"A": "1"},
    "A=1\n\nB=2\n": {"A": "1", "B": "2"},
    "A=1\nA=2\n": {"A": "2"},
    "A=": {"A": ""},
    "A=\nB=1": {"A": "", "B": "1"},
    "export B = two words  # comment": {"B": "two words"},
    "\tA\t=\t1\t\n": {"A": "1"},
    "A=a#b": {"A": "a#b"},
    "A=#b": {"A": "#b"},
    "A= # b": {"A": ""},
    "A=it's": {"A": "it's"},
    "A=a\\nb": {"A": "a\\nb"},
    "A.b-c=1": {"A.b-c": "1"},
    "'A'=1": {"A": "1"},
    'A="x\\ny # z"': {"A": "x\ny # z"},
    'A="x" # z': {"A": "x"},
    'A="x"# z': {"A": "x"},
    f'A="{KEY}"\nB=1': {"A": KEY, "B": "1"},
    f"A='{KEY}' # the key\nB=1": {"A": KEY, "B": "1"},
    r'A="\"\\\t\$\q\'"': {"A": "\"\\\t\\$\\q'"},
    r"A='\'\\\t\n\"'": {"A": "'\\\\t\\n\\\""},
    r'A="ends in a backslash\\"': {"A": "ends in a backslash\\"},
    "A=ünï": {"A": "ünï"},
    'A=1\nB=${A}2\nC="${A}3"': {"A": "1", "B": "12", "C": "13"},
    "B=${A}\nA=1": {"B": "", "A": "1"},
    "A=${NO:-x y} ${NO:-} ${}|": {"A": "x y  |"},
    "A=${HOME}\nHOME=/b\nC=${HOME}": {"A": "/root", "HOME": "/b", "C": "/root"},
    "A=$HOME ${HOME:x} ${HOME": {"A": "$HOME ${HOME:x} ${HOME"},
    "A='${HOME}'": {"A": "${HOME}"},
}


@pytest.mark.parametrize(("text", "expected"), READ.items())
def test_what_a_file_says(text: str, expected: dict[str, str]) -> None:
    found = env_file.parse(text, {"HOME": "/root"})
    assert {name: variable.text for name, variable in found.items()} == expected


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_byte_order_mark_and_the_line_ends_of_windows(
    ends: str, mark: str, tmp_path: Path
) -> None:
    path = tmp_path / ".env"
    path.write_bytes((mark + 'A=1\nB="x\ny"\n\nC=3 # c\n'.replace("\n", ends)).encode())
    found = env_file.read(path, {})
    assert found == {"A": ("1", 1), "B": ("x\ny", 2), "C": ("3", 5)}


WRONG = [
    ("A=1\nNAME\n", 2, "not NAME=value"),
    ("A=1\n\n# c\n=1\n", 4, "not NAME=value"),
    ("A B=1", 1, "not NAME=value"),
    ('"A"=1', 1, "not NAME=value"),
    ("export A", 1, "not NAME=value"),
    ("export =1", 1, "not NAME=value"),
    ('A="x\ny"\nB="never\n\n', 3, 'the quote (") that begins the value is never closed'),
    ("A='it\\'", 1, "the quote (') that begins the value is never closed"),
    ('A="x"y', 1, "something stands behind the value in quotes"),
    ("A='x' 'y'", 1, "something stands behind the value in quotes"),
    ("A=1\nB=a\0b", 2, "a NUL"),
]


@pytest.mark.parametrize(("text", "line", "message"), WRONG)
def test_what_is_not_understood_is_refused_with_its_line(
    text: str, line: int, message: str, tmp_path: Path
) -> None:
    path = tmp_path / ".env"
    path.write_text(text)
    with pytest.raises(UsageError, match=re.escape(f"{path}, line {line}: {message}")):
        env_file.read(path, {})


def test_a_file_that_is_no_text_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*: No such file"):
        env_file.read(tmp_path / "none", {})
    (tmp_path / "bytes").write_bytes(b"A=\xff")
    with pytest.raises(UsageError, match="is not UTF-8"):
        env_file.read(tmp_path / "bytes", {})


def test_a_setting_is_refused_with_the_line_it_begins_on(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('A="x\ny"\n\nBARE_SERVE_WORKERS=many\n')
    with pytest.raises(UsageError, match=r"\.env, line 4: BARE_SERVE_WORKERS: 'many' is not"):
        sources.load({"env_file": ".env"}, {}, tmp_path)


def theirs(text: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> object:
    """What python-dotenv makes of it, as `load_dotenv` does; None if it warns of a line."""
    bindings = list(parse_stream(io.StringIO(text)))
    if any(each.error for each in bindings):
        return None
    pairs = [(each.key, each.value) for each in bindings if each.key is not None]
    with monkeypatch.context() as patch:
        patch.setattr("os.environ", environ)
        return resolve_variables(pairs, override=False)


def ours(text: str, environ: dict[str, str]) -> dict[str, str] | None:
    try:
        return {name: each.text for name, each in env_file.parse(text, environ).items()}
    except env_file._Wrong:
        return None


PIECES = ["A", "B", " ", "=", "'", '"', "\n", "#", "\\", "n", "${A}", "${B:-d}", "$", "{", "}"]
PIECES += ["export ", "\t", "é", "\\'", '\\"', "\n\n", "A=", "B='", 'B="', "\x0c", "\u2028"]


@given(st.lists(st.sampled_from(PIECES), max_size=16).map("".join))
@example('A="\\\\"B"')
@example("A='\\\\'\nB=2")
def test_it_is_read_as_python_dotenv_reads_it(text: str) -> None:
    """Unless one refuses: we what it passes over, and names that are no names."""
    assume(not ("'" in text and "${" in text))  # a difference that docs/configuration.md tells
    environ = {"B": "from outside"}
    with pytest.MonkeyPatch.context() as monkeypatch:
        they = theirs(text, environ, monkeypatch)
    we = ours(text, environ)
    if we is not None:
        assert we == they
    elif isinstance(they, dict):
        odd = any(value is None or re.search("['\"]", name) for name, value in they.items())
        assert odd or re.search(r"export[^\S\n]+#", text)


def test_the_application_sees_a_key_of_several_lines(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(f'\ufeffPRIVATE_KEY="{KEY}"\nPORT=0\n'.encode())
    source = """
import os
def app(environ, start_response):
    start_response("200 OK", [])
    return [os.environ["PRIVATE_KEY"].encode()]
"""
    with (
        serve("--env-file", ".env", source=source, cwd=tmp_path) as server,
        RawClient(server.address) as client,
    ):
        assert client.request().body == KEY.encode()
