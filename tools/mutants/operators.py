"""The mutants of one module, made on its syntax tree.

What lives here: which changes are tried. What must not: running anything.

`mutants` changes the tree it is given, yields while the change is in place, and takes it back
before the next one. So the consumer compiles (or not) what it needs, and no copy is made.

Not changed: annotations, docstrings, `__slots__` and `__all__`, assertions, texts for people (a
string with a blank in it), log lines of the level debug, and what only type checkers see.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_COMPARISONS: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_TYPE_ONLY: Final = ("TypeVar", "cast", "Protocol", "NewType", "ParamSpec")
_LONGEST: Final = 100


@dataclass(frozen=True)
class Mutant:
    """One change, and how it is told: `name` is the same as long as the code around it is."""

    function: str
    lines: range
    before: str
    after: str
    ordinal: int

    @property
    def name(self) -> str:
        """As in the report and in the list of equivalent mutants."""
        number = f" #{self.ordinal}" if self.ordinal > 1 else ""
        return f"{self.function}: {self.before} -> {self.after}{number}"


def mutants(tree: ast.Module) -> Iterator[Mutant]:
    """Each mutant of the module, in the order of its text; the tree is changed during each."""
    seen: dict[tuple[str, str, str], int] = {}
    for place in _places(tree, None, "module"):
        for undo, (before, after) in _changes(place):
            key = place.function, before, after
            seen[key] = seen.get(key, 0) + 1
            ast.fix_missing_locations(tree)
            yield Mutant(place.function, place.lines, before, after, seen[key])
            undo()


@dataclass(frozen=True)
class _Place:
    """A node, what holds it, and the statement it is a part of."""

    node: ast.AST
    statement: ast.stmt
    function: str
    container: Any = None  # a list of statements, if the node is one of them
    index: int = 0

    @property
    def lines(self) -> range:
        first = self.statement.lineno
        last = getattr(self.node, "end_lineno", None) or first
        if isinstance(self.node, ast.If | ast.While | ast.For | ast.Try | ast.With):
            last = getattr(self.node, "test", self.node).lineno
        return range(first, last + 1)


def _places(
    node: ast.AST, statement: ast.stmt | None, function: str, depth: str = ""
) -> Iterator[_Place]:
    """All nodes that may be changed, from the top of the text to its end."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "type_comment", "bases"}:
            continue
        held = value if isinstance(value, list) else [value]
        for index, child in enumerate(held):
            if not isinstance(child, ast.AST) or _untouchable(child, name, index):
                continue
            inner = child if isinstance(child, ast.stmt) else statement
            within, path = function, depth
            if isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
                within = path = f"{depth}.{child.name}" if depth else child.name
            if inner is not None and not isinstance(child, ast.arguments):
                listed = value if isinstance(child, ast.stmt) and isinstance(value, list) else None
                yield _Place(child, inner, within, listed, index)
            yield from _places(child, inner, within, path)


def _untouchable(node: ast.AST, field: str, index: int) -> bool:
    if isinstance(node, ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # a docstring, of an attribute too, or an ellipsis
    if isinstance(node, ast.Assign):
        names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        if names & {"__slots__", "__all__"}:
            return True
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name):
        return node.test.id == "TYPE_CHECKING"
    if isinstance(node, ast.Call):
        function = node.func
        if isinstance(function, ast.Name):
            return function.id in _TYPE_ONLY
        return isinstance(function, ast.Attribute) and function.attr == "debug"
    if isinstance(node, ast.ClassDef):  # it exists for type checkers only
        return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
    return False


def _changes(place: _Place) -> Iterator[tuple[Any, tuple[str, str]]]:
    """Yield the changes of one node, each in place, with what takes it back."""
    node = place.node
    if isinstance(node, ast.Compare):
        for index, op in enumerate(node.ops):
            for other in _COMPARISONS[type(op)]:
                yield _replaced(node, node.ops, index, other())
    elif isinstance(node, ast.BoolOp):
        yield _set(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        yield _set(node, op=_ARITHMETIC[type(node.op)]())
    elif isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.Not):
            yield _set(node, op=ast.Not(), operand=ast.UnaryOp(ast.Not(), node.operand))
        elif isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
            yield _set(node, op=ast.UAdd())
    elif isinstance(node, ast.Constant):
        for other in _other_constants(node.value):
            yield _set(node, value=other)
    elif isinstance(node, ast.Call) and len(node.args) > 1:
        if not (
            any(isinstance(argument, ast.Starred) for argument in node.args[:2])
            or (isinstance(node.func, ast.Name) and node.func.id in {"min", "max"})
        ):
            yield _set(node, args=[node.args[1], node.args[0], *node.args[2:]])
    elif isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield _set(node, value=ast.Constant(None))
    elif isinstance(node, ast.ExceptHandler) and not isinstance(node.body[-1], ast.Raise):
        yield _set(node, body=[ast.Raise()])
    yield from _changed_conditions(node)
    yield from _changed_statements(place)


def _changed_conditions(node: ast.AST) -> Iterator[tuple[Any, tuple[str, str]]]:
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        if not isinstance(node.test, ast.Compare | ast.Constant):
            yield _set(node, test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.comprehension):
        for index, test in enumerate(node.ifs):
            if not isinstance(test, ast.Compare):
                yield _replaced(node, node.ifs, index, ast.UnaryOp(ast.Not(), test))


def _changed_statements(place: _Place) -> Iterator[tuple[Any, tuple[str, str]]]:
    node, container = place.node, place.container
    if container is None:
        return
    if isinstance(node, ast.Break):
        yield _replaced(node, container, place.index, ast.Continue())
    elif isinstance(node, ast.Continue):
        yield _replaced(node, container, place.index, ast.Break())
    elif isinstance(node, ast.AugAssign):
        if type(node.op) in _ARITHMETIC:
            yield _set(node, op=_ARITHMETIC[type(node.op)]())
        yield _replaced(node, container, place.index, ast.Pass())
    elif isinstance(node, ast.Expr) and not isinstance(node.value, ast.Yield | ast.YieldFrom):
        if not _untouchable(node.value, "value", 0):
            yield _replaced(node, container, place.index, ast.Pass())
    elif isinstance(node, ast.Raise | ast.Delete):
        yield _replaced(node, container, place.index, ast.Pass())
    elif isinstance(node, ast.Assign) and place.function != "module":
        if all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            yield _replaced(node, container, place.index, ast.Pass())


def _other_constants(value: object) -> list[object]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value - 1]
    if isinstance(value, str):
        return [] if " " in value else [f"{value}X"]
    if isinstance(value, bytes):
        return [value + b"X"]
    return []


def _set(node: ast.AST, **fields: Any) -> tuple[Any, tuple[str, str]]:
    """Give the node other fields."""
    before = _text(node)
    old = {name: getattr(node, name) for name in fields}
    for name, value in fields.items():
        setattr(node, name, value)

    def undo() -> None:
        for name, value in old.items():
            setattr(node, name, value)

    return undo, (before, _text(node))


def _replaced(
    node: ast.AST, container: list[Any], index: int, other: ast.AST
) -> tuple[Any, tuple[str, str]]:
    """Put another node in a list; where that is an operator, the whole node is named."""
    whole = node is not container[index]
    before, old = _text(node), container[index]
    container[index] = other

    def undo() -> None:
        container[index] = old

    return undo, (before, _text(node if whole else other))


def _text(node: ast.AST) -> str:
    """Return its first line as text; a condition of a statement without its block."""
    if isinstance(node, ast.comprehension):
        return " if ".join(["for", *map(ast.unparse, node.ifs)])
    lines = ast.unparse(ast.fix_missing_locations(node)).splitlines() or [""]
    first = " ".join(lines[:2]) if isinstance(node, ast.ExceptHandler) else lines[0]
    return first if len(first) <= _LONGEST else f"{first[: _LONGEST - 4]} ..."
