"""A gunicorn.conf.py as far as it can be told without running it.

What lives here: reading its assignments and functions out of the syntax tree. What must not: an
import or an `eval` of the file, and what a setting comes to here (migrate.py).

Such files compute little: the number of processors, a variable of the environment or its default, a
text put together. That much is worked out; of anything else the source text is kept.
"""

from __future__ import annotations

import ast
import io
import operator
import os
import re
import tokenize
import warnings
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
_METHODS: Final = ("format", "lower", "lstrip", "replace", "rstrip", "split", "strip", "upper")
"""Those of texts that are worked out."""
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
    head: str
    """Name and arguments; of one that is made elsewhere, what it is set to."""
    body: tuple[str, ...] = ()
    """Its lines, as they are written, without what indents them all."""


class ConfFile(NamedTuple):
    """What a file has."""

    assigned: list[Assigned]
    functions: list[Function]
    stars: list[tuple[str, int]]
    """Modules of which all is imported, each with its line."""


class _UnknownError(Exception):
    """The value cannot be told without running the file."""


def read(path: Path) -> ConfFile:
    """Read a file.

    Raises:
        UsageError: it cannot be read, or is no Python.
    """
    try:
        data = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the file's own, such as an escape that is none
            tree = ast.parse(data)
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        reader = _Reader(data.decode(encoding), str(path))
        reader.statements(tree.body)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise UsageError(f"{path}{line}: this is not Python: {error.msg}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not Python: {error}") from None
    except (RecursionError, MemoryError):
        raise UsageError(f"{path} is nested too deeply to be read") from None
    return ConfFile([*reader.assigned.values()], reader.functions, reader.stars)


class _Reader:
    """Goes through statements as Python would, as far as their effect can be told."""

    def __init__(self, text: str, path: str) -> None:
        self._path = path
        # As Python counts them: str.splitlines() ends lines at more characters.
        self._lines = re.split(r"\r\n|\r|\n", text)
        self._notes: list[str] = []
        self.assigned: dict[str, Assigned] = {}
        self.functions: list[Function] = []
        self.stars: list[tuple[str, int]] = []

    def statements(self, body: Iterable[ast.stmt]) -> None:
        for statement in body:
            match statement:
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._assign_to(target, value)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    self._assign_to(target, value)
                case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
                    before = ast.copy_location(ast.Name(name, ast.Load()), target)
                    made = ast.copy_location(ast.BinOp(before, op, value), statement)
                    self._assign(name, made, ast.unparse(made))
                case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))):
                    self._forget([name])  # such as bind.append(...)
                case ast.Delete(targets=targets):
                    for target in targets:
                        self.assigned.pop(ast.unparse(target), None)
                case ast.Import() | ast.ImportFrom():
                    self._import(statement)
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self._function(statement)
                case ast.If():
                    self._if(statement)
                case ast.With() | ast.AsyncWith():
                    self.statements(statement.body)
                case ast.Try() | ast.TryStar():
                    self._try(statement)
                case ast.For() | ast.AsyncFor() | ast.While():
                    self._perhaps(statement.body, statement.orelse)
                case ast.Match():
                    self._perhaps(*(case.body for case in statement.cases))

    def _if(self, statement: ast.If) -> None:
        self._notes = []
        try:
            holds = self._value(statement.test)
            if self._notes:  # it depends on where the file is read
                raise _UnknownError
        except _UnknownError:
            # Which branch it is cannot be told: each value of either is one that may hold.
            self._perhaps(statement.body, statement.orelse)
        else:
            self.statements(statement.body if holds else statement.orelse)

    def _perhaps(self, *branches: Iterable[ast.stmt]) -> list[str]:
        """Go through what may not be run, or not once; return the names that it sets."""
        before = dict(self.assigned)
        for branch in branches:
            self.statements(branch)
        changed = [name for name, each in self.assigned.items() if each is not before.get(name)]
        self._forget(changed)
        for name in before.keys() - self.assigned.keys():
            self.assigned[name] = before[name]._replace(known=False)
        return changed

    def _try(self, statement: ast.Try | ast.TryStar) -> None:
        """Go through what is run where nothing is raised; what handlers set then does not hold."""
        self.statements([*statement.body, *statement.orelse])
        held = dict(self.assigned)
        for name in self._perhaps(*(handler.body for handler in statement.handlers)):
            if name in held:
                note = f"where nothing is raised in line {statement.lineno}"
                self.assigned[name] = held[name]._replace(notes=(*held[name].notes, note))
        self.statements(statement.finalbody)

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self.assigned:
                self.assigned[name] = self.assigned[name]._replace(known=False)

    def _assign_to(self, target: ast.expr, value: ast.expr) -> None:
        """Take `value` for one target of an assignment, which may be several names."""
        match target, value:
            case ast.Name(id=name), _:
                self._assign(name, value)
            case ast.Tuple() | ast.List(), ast.Tuple() | ast.List() if len(target.elts) == len(
                value.elts
            ):
                for each, one in zip(target.elts, value.elts, strict=True):
                    self._assign_to(each, one)
            case ast.Tuple() | ast.List(), _:
                for each in target.elts:
                    if isinstance(each, ast.Name):
                        source = self._source(value)
                        entry = Assigned(each.id, None, value.lineno, source, known=False)
                        self.assigned[each.id] = entry
            case ast.Subscript(value=ast.Call() as call, slice=ast.Constant(value=str(name))), _:
                if ast.unparse(call) in ("globals()", "locals()", "vars()"):
                    self._assign(name, value)
            case ast.Subscript(value=ast.Name(id=name)), _:
                self._forget([name])

    def _assign(self, name: str, expression: ast.expr, source: str = "") -> None:
        self._notes = []
        try:
            value, known = self._value(expression), True
        except _UnknownError:
            value, known = None, False
        notes = tuple(dict.fromkeys(self._notes))
        source = source or self._source(expression)
        self.assigned[name] = Assigned(name, value, expression.lineno, source, known, notes)

    def _import(self, statement: ast.Import | ast.ImportFrom) -> None:
        module = ""
        if isinstance(statement, ast.ImportFrom):
            module = f"{'.' * statement.level}{statement.module or ''}"
        for each in statement.names:
            if each.name == "*":
                self.stars.append((module, statement.lineno))
                continue
            name = each.asname or each.name.partition(".")[0]
            source = f"{module}.{each.name}" if module else each.name
            self.assigned[name] = Assigned(name, None, statement.lineno, source, known=False)

    def _function(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        first = function.body[0]
        begin = min(each.lineno for each in (first, *getattr(first, "decorator_list", ())))
        while begin - 1 > function.lineno and re.match(r"\s*(#|$)", self._lines[begin - 2]):
            begin -= 1  # a comment before the first statement
        lines = self._lines[begin - 1 : function.end_lineno]
        if first.lineno == function.lineno:  # def f(x): pass
            lines = [ast.unparse(each) for each in function.body]
        cut = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
        body = tuple(line[cut:].rstrip() for line in lines)
        head = f"{function.name}({ast.unparse(function.args)})"
        self.functions.append(Function(function.name, function.lineno, head, body))

    def _source(self, node: ast.expr) -> str:
        """Return an expression as it is written; ast.get_source_segment splits the whole file."""
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        lines = [line.encode() for line in self._lines[first : last + 1]]
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
        return b"\n".join(lines).decode("utf-8", "replace")

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
                return not self._decided(node.operand)
            case ast.UnaryOp(op=ast.USub()):
                return -self._value(node.operand)
            case ast.BinOp() if type(node.op) in _OPERATORS:
                # Texts are put together; anything else takes a value.
                read = self._value if isinstance(node.op, ast.Add | ast.Mod) else self._decided
                left, right = read(node.left), read(node.right)
                if isinstance(node.op, ast.Mult) and _is_long(left, right):
                    raise _UnknownError
                if isinstance(node.op, ast.Mod) and isinstance(node.right, ast.Tuple):
                    right = tuple(right)
                return _OPERATORS[type(node.op)](left, right)
            case ast.BoolOp():
                return self._first_that_decides(node)
            case ast.Compare(ops=[only]) if type(only) in _OPERATORS:
                right = self._decided(node.comparators[0])
                return _OPERATORS[type(only)](self._decided(node.left), right)
            case ast.IfExp():
                return self._value(node.body if self._decided(node.test) else node.orelse)
            case ast.Call(func=ast.Attribute(value=text, attr=name), keywords=[]) if (
                name in _METHODS and isinstance(found := self._value(text), str)
            ):
                return getattr(found, name)(*map(self._value, node.args))
            case ast.Call(keywords=[]):
                return self._call(ast.unparse(node.func), node.args)
            case ast.Subscript() if ast.unparse(node.value) in _ENVIRON:
                return self._variable(str(self._value(node.slice)), None)
        raise _UnknownError

    def _decided(self, node: ast.expr) -> Any:
        """Return a value that something depends on, which must not be open."""
        value = self._value(node)
        if _is_open(value):
            raise _UnknownError
        return value

    def _piece(self, node: ast.expr) -> Any:
        if isinstance(node, ast.FormattedValue):
            if node.format_spec is not None or node.conversion != -1:
                raise _UnknownError
            return self._value(node.value)
        return self._value(node)

    def _first_that_decides(self, node: ast.BoolOp) -> Any:
        value: Any = None
        for each in node.values:
            value = self._decided(each)
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
            values = [*map(self._value, arguments)]
            if name in ("int", "str") and _is_open(values[0]):
                return values[0]
            return _FUNCTIONS[name](*values)
        raise _UnknownError

    def _variable(self, name: str, default: ast.expr | None) -> Any:
        """Return the default of a variable: the file is not for this environment alone.

        Without one, what stands for its value in a command: `${NAME}`.
        """
        if default is None:
            self._notes.append(f"of the variable {name}")
            return f"${{{name}}}"
        value = self._value(default)
        self._notes.append(f"the default where {name} is not set")
        return value


def _is_open(value: Any) -> bool:
    """Return whether a value is up to a variable that has no default."""
    return isinstance(value, str) and "${" in value


def _is_long(left: Any, right: Any) -> bool:
    """Return whether a product would fill the memory with copies."""
    copied = [each for each in (left, right) if isinstance(each, str | bytes | list)]
    return bool(copied) and max(each for each in (left, right) if isinstance(each, int)) > 1000
