"""The table of clauses is whole, and the server speaks from it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bare_serve.clauses import mistake, misuse, reference
from bare_serve.clauses.table import CLAUSES
from bare_serve.errors import ResponseError
from tests.support.imports import read_package

# Whoever looks closely at an application: what these say beyond, the plain server does not report.
_OBSERVERS = re.compile(
    r"bare_serve\.(?:clauses|testing|xray|\w+\.traced\w*|http1\.remarks|asgi\.held_loop)(?:\.|$)"
)
ID = re.compile(r"(?:wsgi|asgi|http)(?:-[a-z]+[0-9]*)+")


def named_by_the_server(root: Path) -> Iterator[str]:
    """Ids of clauses that stand in the source text of the server."""
    for module, source in read_package(root / "bare_serve").items():
        if _OBSERVERS.match(module) is None:
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Constant) and node.value in CLAUSES:
                    yield str(node.value)


def test_each_row_is_reported_by_the_server_where_it_says_so(root: Path) -> None:
    made = {
        f"{interface}-length-{end}" for interface in ("http", "wsgi") for end in ("over", "short")
    }
    named = {*named_by_the_server(root)} | made
    assert named == {name for name, row in CLAUSES.items() if row.reported}


def test_each_id_is_well_formed_and_meets_no_other() -> None:
    assert all(ID.fullmatch(name) for name in CLAUSES)
    assert len({row.expected for row in CLAUSES.values()}) >= len(CLAUSES) - 2, "over and short"


@pytest.mark.parametrize("row", CLAUSES.values(), ids=CLAUSES)
def test_each_row_says_what_holds_and_what_to_do_in_a_line_each(row: object) -> None:
    assert row in CLAUSES.values()
    clause = next(each for each in CLAUSES.values() if each is row)
    for sentence in (clause.expected, clause.fix):
        assert sentence[0].isupper() or re.match(r"'|\w+(\.| [a-z])", sentence)
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert len(sentence) <= 130
    assert re.fullmatch(r'(PEP 3333|ASGI[\w ]*), "[^"]+"|RFC \d+, [\d.]+', clause.place)


@pytest.mark.parametrize("make", [mistake, misuse])
def test_a_mistake_says_what_was_got_and_names_its_clause(make: object) -> None:
    error = (mistake if make is mistake else misuse)("wsgi-start-twice", "it was called again")
    assert error.clause == "wsgi-start-twice"
    assert str(error).splitlines() == ["it was called again", reference("wsgi-start-twice")]
    assert 'PEP 3333, "The start_response() Callable"' in str(error)
    assert isinstance(error, ResponseError)
    assert isinstance(error, AssertionError) is (make is misuse)


def test_an_unknown_clause_is_refused() -> None:
    with pytest.raises(KeyError):
        mistake("wsgi-no-such", "x")


def test_a_server_imports_neither_the_table_nor_the_tools_for_tests() -> None:
    program = (
        "import sys, bare_serve.cli.main, bare_serve.server.run, bare_serve.asgi.websocket\n"
        "import bare_serve.workers.asgi.worker, bare_serve.workers.wsgi.worker\n"
        "assert 'bare_serve.clauses' in sys.modules\n"
        "late = [name for name in sys.modules if name.startswith('bare_serve.clauses.')]\n"
        "late += [name for name in sys.modules if name.startswith('bare_serve.testing')]\n"
        "assert late == [], late\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_page_is_made_from_the_table(root: Path) -> None:
    """If this fails: `python -m bare_serve.clauses > docs/clauses.md`."""
    made = subprocess.run(
        [sys.executable, "-m", "bare_serve.clauses"], check=True, capture_output=True, text=True
    ).stdout
    assert made == (root / "docs" / "clauses.md").read_text("utf-8")
    assert all(f"| `{name}`" in made for name in CLAUSES)
