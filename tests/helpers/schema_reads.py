"""Which fields of which settings are read by code outside their declaration, found by types as far as names tell them.

A search for `.name` alone would call nearly every field read, since other things have names too. So expressions are
given the settings classes that they may hold: by annotations, by fields of settings, by what functions return and by
assignments. The inference errs towards more classes, never over several files' local variables.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Fields = dict[str, dict[str, frozenset[str]]]
"""Settings class -> field -> the settings classes that its value may hold."""

_VALIDATORS = {"model_validator", "field_validator"}
# What gives settings of the same class back.
_COPIES = {"model_copy", "copy", "values", "get", "pop", "replace"}
_MAKERS = {"model_validate", "model_construct"}


def parse(folders: Iterable[Path]) -> dict[Path, ast.Module]:
    """The modules below the folders."""
    return {
        file: ast.parse(file.read_text(encoding="utf-8")) for folder in folders for file in sorted(folder.rglob("*.py"))
    }


def settings_fields(modules: Iterable[ast.Module]) -> Fields:
    """The pydantic classes of the modules, whoever they inherit from, with their fields."""
    classes = {node.name: node for module in modules for node in ast.walk(module) if isinstance(node, ast.ClassDef)}
    models: set[str] = {"BaseModel"}
    while True:
        found = {name for name, node in classes.items() if models & {_last_name(base) for base in node.bases}}
        if found <= models:
            break
        models |= found
    models.discard("BaseModel")
    return {
        name: {
            item.target.id: frozenset(_names_in(item.annotation) & models)
            for item in classes[name].body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        }
        for name in models
    }


def unread_fields(modules: Iterable[ast.Module], fields: Fields) -> set[str]:
    """`Class.field` of each field that no expression outside a validator reads."""
    reader = _Reader(fields)
    scopes = [scope for module in modules for scope in _scopes_of(module)]
    known = -1
    while reader.size() != known:
        known = reader.size()
        reader.learn(scopes)
    every = {f"{name}.{item}" for name, items in fields.items() for item in items}
    return every - reader.read(scopes)


@dataclass
class _Scope:
    """One function, or a module outside its functions, and what in it matters here."""

    node: Function | ast.Module
    outer: "_Scope | None"
    # The class whose method it is; and what the first argument of a lambda is declared to be.
    owner: str | None = None
    declared: ast.expr | None = None
    bindings: list[tuple[ast.AST, ast.AST]] = field(default_factory=list)
    annotated: list[tuple[str, ast.expr]] = field(default_factory=list)
    to_attributes: list[tuple[str, ast.AST]] = field(default_factory=list)
    reads: list[ast.Attribute] = field(default_factory=list)
    # Declarations that count in all files: attribute or function, and its annotation.
    attributes: list[tuple[str, str, ast.expr]] = field(default_factory=list)
    returns: list[tuple[str, ast.expr]] = field(default_factory=list)


def _scopes_of(module: ast.Module) -> list[_Scope]:
    scopes: list[_Scope] = []
    _enter(module, None, None, None, scopes)
    return scopes


def _enter(
    node: Function | ast.Module, outer: _Scope | None, owner: str | None, declared: ast.expr | None, to: list[_Scope]
) -> None:
    scope = _Scope(node, outer, owner, declared)
    to.append(scope)
    body = node.body if isinstance(node.body, list) else [node.body]
    for child in body:
        _walk(child, scope, None, None, to)


def _walk(node: ast.AST, scope: _Scope, owner: str | None, declared: ast.expr | None, to: list[_Scope]) -> None:
    """Note a node of the scope; functions within it are scopes of their own. Validators are part of a declaration."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        if node.returns is not None and "property" in map(_last_name, node.decorator_list):
            scope.attributes.append((owner or "", node.name, node.returns))
        elif node.returns is not None:
            scope.returns.append((node.name, node.returns))
        if not _VALIDATORS & {_last_name(one) for one in node.decorator_list}:
            _enter(node, scope, owner, None, to)
        return
    if isinstance(node, ast.Lambda):
        _enter(node, scope, None, declared, to)
        return
    if isinstance(node, ast.ClassDef):
        owner = node.name
        scope.attributes += [
            (owner, item.target.id, item.annotation)
            for item in node.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        ]
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        scope.reads.append(node)
    elif isinstance(node, ast.AnnAssign):
        declared = node.annotation
        if isinstance(node.target, ast.Name):
            scope.annotated.append((node.target.id, node.annotation))
    for target, value in _bindings(node):
        for one, part in _pairs(target, value):
            if isinstance(one, ast.Attribute):
                scope.to_attributes.append((one.attr, part))
            scope.bindings.append((one, part))
    for child in ast.iter_child_nodes(node):
        _walk(child, scope, owner, declared, to)


@dataclass
class _Reader:
    """What is known of names that count in all files."""

    fields: Fields
    # Attribute of any class that holds settings, and function that gives them.
    attributes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    returns: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _annotations: dict[ast.AST, set[str]] = field(default_factory=dict)

    def size(self) -> int:
        return sum(map(len, self.attributes.values())) + sum(map(len, self.returns.values()))

    def learn(self, scopes: Iterable[_Scope]) -> None:
        """Take in declarations, and what is assigned to attributes."""
        for scope, local in self._with_locals(scopes):
            for owner, name, annotation in scope.attributes:
                if owner not in self.fields:
                    self._add(self.attributes, name, self._declared(annotation))
            for name, annotation in scope.returns:
                self._add(self.returns, name, self._declared(annotation))
            for name, value in scope.to_attributes:
                self._add(self.attributes, name, self.types_of(value, local))

    def read(self, scopes: Iterable[_Scope]) -> set[str]:
        """The fields that expressions read."""
        return {
            f"{name}.{node.attr}"
            for scope, local in self._with_locals(scopes)
            for node in scope.reads
            for name in self.types_of(node.value, local)
            if node.attr in self.fields[name]
        }

    def _with_locals(self, scopes: Iterable[_Scope]) -> Iterator[tuple[_Scope, dict[str, set[str]]]]:
        """Each scope with the settings that its names may hold; an outer scope comes before those within it."""
        found: dict[int, dict[str, set[str]]] = {}
        for scope in scopes:
            outer = found[id(scope.outer)] if scope.outer is not None else {}
            local = found[id(scope)] = self._locals(scope, outer)
            yield scope, local

    def _locals(self, scope: _Scope, outer: dict[str, set[str]]) -> dict[str, set[str]]:
        local = {name: set(held) for name, held in outer.items() if held}
        if not isinstance(scope.node, ast.Module):
            arguments = scope.node.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            for argument in every:
                local[argument.arg] = self._declared(argument.annotation)
            if every and scope.owner in self.fields:
                local[every[0].arg] = {str(scope.owner)}
            if every and scope.declared is not None:
                local[every[0].arg] = self._declared(scope.declared)
        for name, annotation in scope.annotated:
            local.setdefault(name, set()).update(self._declared(annotation))
        for _ in range(3):  # A name may be made of another whose making stands later in the list.
            for target, value in scope.bindings:
                names = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
                held = self.types_of(value, local)
                for name in names if held else []:
                    if isinstance(name, ast.Name):
                        local.setdefault(name.id, set()).update(held)
        return local

    def types_of(self, node: ast.AST | None, local: dict[str, set[str]]) -> set[str]:
        """The settings classes that an expression may hold, or that its items may be."""
        if isinstance(node, ast.Name):
            return local.get(node.id, set())
        if isinstance(node, ast.Attribute):
            owners = self.types_of(node.value, local)
            inner = {held for name in owners for held in self.fields[name].get(node.attr, ())}
            return inner if owners else self.attributes.get(node.attr, set())
        if isinstance(node, ast.Call):
            return self._called(node, local)
        if isinstance(node, (ast.Subscript, ast.Starred, ast.Await, ast.NamedExpr)):
            return self.types_of(node.value, local)
        if isinstance(node, ast.IfExp):
            return self.types_of(node.body, local) | self.types_of(node.orelse, local)
        if isinstance(node, ast.BoolOp):
            return {name for value in node.values for name in self.types_of(value, local)}
        if isinstance(node, (ast.List, ast.Tuple)):
            return {name for value in node.elts for name in self.types_of(value, local)}
        if isinstance(node, (ast.ListComp, ast.GeneratorExp)):
            return self.types_of(node.elt, local)
        return set()

    def _called(self, node: ast.Call, local: dict[str, set[str]]) -> set[str]:
        name = _last_name(node.func)
        if name in self.fields:
            return {name}
        if isinstance(node.func, ast.Attribute):
            owner = _last_name(node.func.value)
            if name in _MAKERS and owner in self.fields:
                return {owner}
            if name in _COPIES and (held := self.types_of(node.func.value, local)):
                return held
        if name in ("enumerate", "zip", "sorted", "list", "tuple", "next", "iter", "filter", "replace", "reversed"):
            return {held for value in node.args for held in self.types_of(value, local)}
        return self.returns.get(name, set())

    def _declared(self, annotation: ast.AST | None) -> set[str]:
        if annotation is None:
            return set()
        if annotation not in self._annotations:
            self._annotations[annotation] = _names_in(annotation) & set(self.fields)
        return self._annotations[annotation]

    def _add(self, table: dict[str, set[str]], name: str, held: set[str]) -> None:
        if held:
            table[name] |= held


def _bindings(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    if isinstance(node, ast.Assign):
        yield from ((target, node.value) for target in node.targets)
    elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
        yield node.target, node.value
    elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
        yield node.target, node.iter
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield node.optional_vars, node.context_expr


def _pairs(target: ast.AST, value: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    both = isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List))
    if both and len(target.elts) == len(value.elts):  # type: ignore[attr-defined]
        yield from zip(target.elts, value.elts, strict=True)  # type: ignore[attr-defined]
    else:
        yield target, value


def _names_in(annotation: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(annotation):
        if isinstance(node, (ast.Name, ast.Attribute)):
            names.add(_last_name(node))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                names |= _names_in(ast.parse(node.value, mode="eval"))
            except SyntaxError:
                continue
    return names


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Call):
        return _last_name(node.func)
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
