"""Faults planted in source code: syntax that a pattern describes, in functions of one name, is replaced."""

from __future__ import annotations

import ast
import builtins
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

_WILD = "wildcard_"
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _parsed(code: str) -> ast.AST:
    """Return one expression or one statement; its wildcards are names that begin with `_WILD`."""
    [statement] = ast.parse(re.sub(r"\$(?=\w)", _WILD, code)).body
    return statement.value if isinstance(statement, ast.Expr) else statement


def _below(node: ast.AST, name: str) -> Iterator[ast.AST]:
    """Yield the functions and classes of a qualified name ("Class.method")."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _SCOPES):
            if child.name == name:
                yield child
            elif name.startswith(f"{child.name}."):
                yield from _below(child, name.removeprefix(f"{child.name}."))
        elif isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _below(child, name)


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _equal(pattern: object, node: object, values: dict[str, ast.expr]) -> bool:
    """Whether syntax matches a pattern; `values` receives the values of the wildcards."""
    if isinstance(pattern, ast.Name) and pattern.id.startswith(_WILD) and isinstance(node, ast.expr):
        known = values.setdefault(pattern.id, node)
        return known is node or _equal(known, node, {})
    if isinstance(pattern, ast.Assign) and isinstance(node, ast.keyword):
        return ast.unparse(pattern.targets[0]) == node.arg and _equal(pattern.value, node.value, values)
    if isinstance(pattern, list) and isinstance(node, list):
        return len(pattern) == len(node) and all(map(_equal, pattern, node, [values] * len(node)))
    if type(pattern) is not type(node):
        return False
    if not isinstance(pattern, ast.AST):
        return pattern == node
    fields = [name for name in pattern._fields if name != "ctx"]
    return all(_equal(getattr(pattern, name), getattr(node, name), values) for name in fields)


class _Substitution(ast.NodeTransformer):
    """Replace wildcards by their values, or one node by another."""

    def __init__(
        self, values: dict[str, ast.expr], target: ast.AST | None = None, new: ast.AST | None = None
    ):
        self.values, self.target, self.new = values, target, new

    def visit(self, node: ast.AST) -> ast.AST | None:
        if node is self.target:
            return self.new
        if isinstance(node, ast.Name) and node.id in self.values:
            return copy.deepcopy(self.values[node.id])
        return self.generic_visit(node)


@dataclass(frozen=True)
class Fault:
    """Syntax to be replaced in the functions and classes of a name; without a name, outside of them.

    `pattern` is an expression or a statement: `$name` matches any expression, the same one everywhere, and
    ``name = value`` a keyword argument too. White space, line breaks, quotes and comments do not matter.
    """

    pattern: str
    replacement: str
    function: str = ""

    def _scopes(self, tree: ast.Module) -> list[ast.AST]:
        if self.function:
            return list(_below(tree, self.function))
        return [node for node in tree.body if not isinstance(node, _SCOPES)]

    @cached_property
    def _old(self) -> ast.AST:
        return _parsed(self.pattern)

    def places(self, tree: ast.Module) -> list[tuple[ast.AST, dict[str, ast.expr]]]:
        """Return the nodes of a module that match, each with the values of the wildcards."""
        nodes = (node for scope in self._scopes(tree) for node in ast.walk(scope))
        tries: list[tuple[ast.AST, dict[str, ast.expr]]] = [(node, {}) for node in nodes]
        return [(node, values) for node, values in tries if _equal(self._old, node, values)]

    def unknown_names(self, tree: ast.Module) -> set[str]:
        """Return names of the replacement that neither the pattern, nor the module, nor Python knows."""
        known = _names(tree) | _names(self._old) | set(dir(builtins))
        known |= {
            node.arg for scope in self._scopes(tree) for node in ast.walk(scope) if isinstance(node, ast.arg)
        }
        return _names(_parsed(self.replacement)) - known

    def planted(self, source: str) -> str:
        """Return the source of a module with the fault in its only place, without comments."""
        tree = ast.parse(source)
        [(target, values)] = self.places(tree)
        new = _Substitution(values).visit(_parsed(self.replacement))
        if isinstance(target, ast.keyword) and isinstance(new, ast.Assign):
            new = ast.keyword(target.arg, new.value)
        elif isinstance(target, ast.stmt) and isinstance(new, ast.expr):
            new = ast.Expr(new)
        _Substitution({}, target, new).visit(tree)
        return ast.unparse(tree)
