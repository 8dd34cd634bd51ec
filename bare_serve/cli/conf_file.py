"""A gunicorn.conf.py as far as it can be told without running it.

What lives here: reading its assignments and functions out of the syntax tree. What must not: an
import or an `eval` of the file, and what a setting comes to here (migrate.py).

Such files compute little: the number of processors, a variable of the environment or its default, a
text put together. That much is worked out; of anything else the source text is kept.
"""

from __future__ import annotations

import ast
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from bare_serve.errors import UsageError

_OPERATORS: Final[Mapping[type, Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
        ast.FloorDiv: operator.floordiv, ast.Div: operator.truediv, ast.Mod: operator.mod,
        ast.BitOr: operator.or_,
        ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.Gt: operator.gt,
        ast.Is: operator.is_, ast.IsNot: operator.is_not,
    }
)  # fmt: skip
_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {"int": int, "str": str, "float": float, "bool": bool, "min": min, "max": max, "round": round}
)
_PATHS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {"dirname": os.path.dirname, "join": os.path.join, "abspath": str, "realpath": str}
)
_CPUS: Final = ("multiprocessing.cpu_count", "os.cpu_count", "cpu_count")
_GETENV: Final = ("os.environ.get", "os.getenv", "environ.get", "getenv")
_ENVIRON: Final = ("os.environ", "environ")


class Assigned(NamedTuple):
    """A name of the file and its value."""

    name: str
    value: object
    line: int
    source: str
    """The expression, as it is written."""
    known: bool = True
    """Whether `value` could be worked out."""
    notes: tuple[str, ...] = ()
    """What it depends on."""


class Function(NamedTuple):
    """A function of the file, which may be a hook."""

    name: str
    line: int
    arguments: str
    body: tuple[str, ...]
    """Its lines, as they are written, without what indents them all."""


class ConfFile(NamedTuple):
    """What a file has."""

    assigned: list[Assigned]
    functions: list[Function]


class _UnknownError(Exception):
    """The value cannot be told without running the file."""


def read(path: Path) -> ConfFile:
    """Read a file.

    Raises:
        UsageError: it cannot be read, or is no Python.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"{path} is not Python: {error}") from None
    reader = _Reader(text, str(path))
    reader.statements(tree.body)
    return ConfFile([*reader.assigned.values()], reader.functions)


class _Reader:
    def __init__(self, text: str, path: str) -> None:
        self._text = text
        self._path = path
        self._lines = text.splitlines()
        self._notes: list[str] = []
        self.assigned: dict[str, Assigned] = {}
        self.functions: list[Function] = []

    def statements(self, body: Iterable[ast.stmt]) -> None:
        for statement in body:
            if isinstance(statement, ast.Assign | ast.AnnAssign):
                targets = [statement.target] if isinstance(statement, ast.AnnAssign) else None
                for target in targets or statement.targets:  # type: ignore[union-attr]
                    if isinstance(target, ast.Name) and statement.value is not None:
                        self._assign(target.id, statement.value)
            elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                self._function(statement)
            elif isinstance(statement, ast.If):
                self._if(statement)

    def _if(self, statement: ast.If) -> None:
        self._notes = []
        try:
            holds = self._value(statement.test)
            if self._notes:  # it depends on where the file is read
                raise _UnknownError
        except _UnknownError:
            # Which branch it is cannot be told: each value of either is one that may hold.
            before = dict(self.assigned)
            self.statements(statement.body)
            self.statements(statement.orelse)
            for name, entry in self.assigned.items():
                if entry is not before.get(name):
                    self.assigned[name] = entry._replace(known=False)
        else:
            self.statements(statement.body if holds else statement.orelse)

    def _assign(self, name: str, expression: ast.expr) -> None:
        source = ast.get_source_segment(self._text, expression) or ast.unparse(expression)
        self._notes = []
        try:
            value, known = self._value(expression), True
        except _UnknownError:
            value, known = None, False
        notes = tuple(dict.fromkeys(self._notes))
        self.assigned[name] = Assigned(name, value, expression.lineno, source, known, notes)

    def _function(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        first = function.body[0]
        lines = self._lines[first.lineno - 1 : function.end_lineno]
        if first.lineno == function.lineno:  # def f(x): pass
            lines = [ast.unparse(each) for each in function.body]
        cut = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
        body = tuple(line[cut:].rstrip() for line in lines)
        arguments = ast.unparse(function.args)
        self.functions.append(Function(function.name, function.lineno, arguments, body))

    # ------------------------------------------------------------------ values

    def _value(self, node: ast.expr) -> Any:
        """Work out a value.

        Raises:
            _UnknownError: it takes more than is done here.
        """
        try:
            return self._worked_out(node)
        except _UnknownError:
            raise
        except Exception:  # noqa: BLE001  (of an operator or a function: the file would fail, too)
            raise _UnknownError from None

    def _worked_out(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name() if node.id in self.assigned:
                found = self.assigned[node.id]
                if not found.known:
                    raise _UnknownError
                self._notes += found.notes
                return found.value
            case ast.Name(id="__file__"):
                return self._path
            case ast.List() | ast.Tuple() | ast.Set():
                return [self._value(each) for each in node.elts]
            case ast.Dict():
                pairs = zip(node.keys, node.values, strict=True)
                return {self._value(key): self._value(each) for key, each in pairs if key}
            case ast.JoinedStr():
                return "".join(str(self._piece(each)) for each in node.values)
            case ast.UnaryOp(op=ast.Not()):
                return not self._value(node.operand)
            case ast.UnaryOp(op=ast.USub()):
                return -self._value(node.operand)
            case ast.BinOp() if type(node.op) in _OPERATORS:
                return _OPERATORS[type(node.op)](self._value(node.left), self._value(node.right))
            case ast.BoolOp():
                return self._first_that_decides(node)
            case ast.Compare(ops=[only]) if type(only) in _OPERATORS:
                right = self._value(node.comparators[0])
                return _OPERATORS[type(only)](self._value(node.left), right)
            case ast.IfExp():
                return self._value(node.body if self._value(node.test) else node.orelse)
            case ast.Call(keywords=[]):
                return self._call(ast.unparse(node.func), node.args)
            case ast.Subscript() if ast.unparse(node.value) in _ENVIRON:
                return self._variable(str(self._value(node.slice)), None)
        raise _UnknownError

    def _piece(self, node: ast.expr) -> Any:
        if isinstance(node, ast.FormattedValue):
            if node.format_spec is not None or node.conversion != -1:
                raise _UnknownError
            return self._value(node.value)
        return self._value(node)

    def _first_that_decides(self, node: ast.BoolOp) -> Any:
        value: Any = None
        for each in node.values:
            value = self._value(each)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def _call(self, name: str, arguments: list[ast.expr]) -> Any:
        if name in _CPUS and not arguments:
            count = os.cpu_count() or 1
            self._notes.append(f"for the {count} processors of this machine")
            return count
        if name in _GETENV and arguments:
            default = arguments[1] if len(arguments) > 1 else ast.Constant(None)
            return self._variable(str(self._value(arguments[0])), default)
        if name.startswith("os.path.") and name[8:] in _PATHS:
            return _PATHS[name[8:]](*map(self._value, arguments))
        if name in _FUNCTIONS:
            return _FUNCTIONS[name](*map(self._value, arguments))
        raise _UnknownError

    def _variable(self, name: str, default: ast.expr | None) -> Any:
        """Return the default of a variable: the file is not for this environment alone."""
        if default is None:
            self._notes.append(f"of the variable {name}")
            raise _UnknownError
        value = self._value(default)
        self._notes.append(f"the default where {name} is not set")
        return value
