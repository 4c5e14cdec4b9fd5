"""Small changes to the code of a module, one at a time, as a tester of tests makes them: its mutants."""

import ast
import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: where it is, what it changes, and the code with it."""

    line: int
    change: str
    """Before and after, in source code."""
    number: int
    """Among those with the same change, in their order."""
    source: str
    """Of the module without it."""
    place: int
    """Among all changes to the module, in their order."""

    @property
    def name(self) -> str:
        """Which it is, whatever line it stands in."""
        return f"{self.change} [{self.number}]" if self.number else self.change

    @property
    def tree(self) -> ast.Module:
        """The module with the change."""
        tree = ast.parse(self.source)
        node, parent, field, index, change = next(itertools.islice(all_changes(tree), self.place, None))
        if change is None and isinstance(node, ast.stmt):
            change = ast.Pass()
        value = getattr(parent, field)
        items = [] if change is None else [change]
        setattr(parent, field, change if index is None else [*value[:index], *items, *value[index + 1 :]])
        return ast.fix_missing_locations(tree)


def changes_of(node: ast.AST) -> Iterator[ast.AST | None]:
    """What a node may become; None where a statement goes."""
    match node:
        case ast.Compare(ops=[operator, *others]):
            ops = [COMPARISONS[type(operator)](), *others]
            yield ast.Compare(left=node.left, ops=ops, comparators=node.comparators)
        case ast.BoolOp(op=operator, values=values):
            yield ast.BoolOp(op=ast.Or() if isinstance(operator, ast.And) else ast.And(), values=values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OPERATORS:
            yield ast.BinOp(left=left, op=OPERATORS[type(operator)](), right=right)
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            changed = copy.copy(node)
            changed.test = ast.UnaryOp(op=ast.Not(), operand=test)
            yield changed
        case ast.Return(value=value) if value is not None and not is_none(value):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Raise() | ast.AugAssign() | ast.Delete():
            yield None
        case ast.keyword(arg=str(), value=value) if not is_none(value):
            yield None


def is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def all_changes(tree: ast.Module) -> Iterator[tuple[Any, ...]]:
    """Every change to a module, in its order: the node, its parent, the field and place there, what it becomes."""
    for where in nodes_of(tree):
        for change in changes_of(where[0]):
            yield (*where, change)


def mutants_of(source: str) -> list[Mutant]:
    """All mutants of a module's source, in their order; annotations and docstrings stay as they are."""
    found, seen = [], {}
    for place, (node, *_, change) in enumerate(all_changes(ast.parse(source))):
        after = "" if change is None else ast.unparse(change)
        text = f"{ast.unparse(node).splitlines()[0]} -> {after.splitlines()[0] if after else 'nothing'}"
        seen[text] = seen.get(text, -1) + 1
        found.append(Mutant(line=line_of(node), change=text, number=seen[text], source=source, place=place))
    return found


def line_of(node: ast.AST) -> int:
    return next((child.lineno for child in ast.walk(node) if hasattr(child, "lineno")), 0)


def nodes_of(tree: ast.AST) -> Iterator[tuple[ast.AST, ast.AST, str, int | None]]:
    """Every node that may change, with its parent, the parent's field, and its place in a list there."""
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if field in ("annotation", "returns", "type_comment"):
                continue
            if isinstance(parent, ast.Expr) and isinstance(value, ast.Constant):
                continue  # a docstring
            if isinstance(value, ast.AST):
                yield value, parent, field, None
            elif isinstance(value, list):
                items = [(place, item) for place, item in enumerate(value) if isinstance(item, ast.AST)]
                yield from ((item, parent, field, place) for place, item in items)
