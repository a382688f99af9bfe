"""What a function computes, as far as its source tells: a hash that changes with it.

Method:
    The hash is of the syntax without comments, docstrings and formatting; of the numbers and texts,
    and tuples, lists and dicts of them, that the function finds in its closure, its defaults and
    its module; and of the functions and classes of its own module that it names or that stand
    around it as decorators, and so on. What stands in other modules, in files and in objects is not
    seen: a version tells of that.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

_PLAIN = (int, float, complex, str, bytes, bool, type(None))


def source_hash(function: Callable[..., Any]) -> str | None:
    """Hash of what a function computes; None where its source cannot be read.

    Args:
        function: A function, a method, a class, an object that is called, or a `functools.partial`.
    """
    pieces: list[str] = []
    if not _collect(function, pieces, set()):
        return None
    return hashlib.blake2b("\0".join(pieces).encode(), digest_size=16).hexdigest()


def _collect(thing: Any, pieces: list[str], seen: set[int]) -> bool:
    """Append what is known of a thing; whether its own source could be read."""
    if id(thing) in seen:
        return True
    seen.add(id(thing))
    if isinstance(thing, functools.partial):
        pieces += _plain({"args": thing.args, **thing.keywords})
        return _collect(thing.func, pieces, seen)
    if inspect.ismethod(thing):
        pieces += _plain(getattr(thing.__self__, "__dict__", {}))
        return _collect(thing.__func__, pieces, seen)
    if callable(thing):
        _collect_wrappers(thing, pieces, seen)
        thing = inspect.unwrap(thing)
    if not isinstance(thing, FunctionType | type):  # an object that is called
        pieces += _plain(getattr(thing, "__dict__", {}))
        thing = type(thing)
    if isinstance(thing, type):
        for kind in _own_bases(thing):
            pieces += _plain({n: v for n, v in vars(kind).items() if not n.startswith("__")})
        found = [_collect(function, pieces, seen) for function in _methods(thing)]
        return bool(found) and all(found)
    syntax = _syntax(thing)
    if syntax is None:
        return False
    pieces.append(syntax)
    _collect_known(thing, pieces, seen)
    return True


def _collect_wrappers(wrapper: Any, pieces: list[str], seen: set[int]) -> None:
    """Append what is around a function, where it is of the function's own module."""
    inner = getattr(inspect.unwrap(wrapper), "__globals__", None)
    while hasattr(wrapper, "__wrapped__"):
        if isinstance(wrapper, FunctionType) and wrapper.__globals__ is inner:
            syntax = _syntax(wrapper.__code__)
            pieces += [] if syntax is None else [syntax]
            _collect_known(wrapper, pieces, seen)
        wrapper = wrapper.__wrapped__


def _collect_known(function: FunctionType, pieces: list[str], seen: set[int]) -> None:
    """Append what a function reads from its closure, its defaults and its module."""
    closure = _closure(function)
    defaults = {str(k): value for k, value in enumerate(function.__defaults__ or ())}
    defaults |= function.__kwdefaults__ or {}
    named = {n: function.__globals__[n] for n in _names(function) if n in function.__globals__}
    for known in (closure, defaults, named):
        pieces += _plain(known)
        for name in sorted(known):
            value = inspect.unwrap(known[name]) if callable(known[name]) else known[name]
            is_code = isinstance(value, FunctionType | type | functools.partial)
            place = getattr(getattr(value, "func", value), "__module__", None)
            if is_code and place == function.__module__:
                _collect(known[name], pieces, seen)


def _closure(function: FunctionType) -> dict[str, Any]:
    """Names and values that a function has from the one around it."""
    try:
        return dict(inspect.getclosurevars(function).nonlocals)
    except ValueError:  # a name that the one around it has not given a value yet
        return {}


def _names(function: FunctionType) -> list[str]:
    """Names that a function and those inside it look up in their module."""

    def of(code: CodeType) -> Iterator[str]:
        yield from code.co_names
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from of(constant)

    return sorted(set(of(function.__code__)))


def _own_bases(kind: type) -> list[type]:
    """A class and its bases in the same module."""
    return [base for base in kind.__mro__ if base.__module__ == kind.__module__]


def _methods(kind: type) -> list[Any]:
    """Functions of a class and of its bases in the same module; those made of texts have none."""
    members = [vars(base)[name] for base in _own_bases(kind) for name in sorted(vars(base))]
    found = [function for member in members for function in _functions_of(member)]
    plain = [(each, inspect.unwrap(each)) for each in found]
    return [
        each
        for each, inner in plain
        if isinstance(inner, FunctionType) and inner.__code__.co_filename != "<string>"
    ]


def _functions_of(member: Any) -> list[Any]:
    """Functions behind a member of a class: of a property, a method of any kind, a cached one."""
    if isinstance(member, property):
        return [each for each in (member.fget, member.fset, member.fdel) if each is not None]
    if isinstance(member, functools.cached_property):
        return [member.func]
    if isinstance(member, classmethod | staticmethod):
        return [member.__func__]
    return [member] if callable(member) and not isinstance(member, type) else []


def _plain(known: Mapping[str, Any]) -> list[str]:
    """Names and values of numbers and texts, and of tuples and lists of them."""
    return [f"{name}={value!r}" for name, value in sorted(known.items()) if _is_plain(value)]


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(each) for each in value)
    if isinstance(value, dict):
        return all(_is_plain(each) for pair in value.items() for each in pair)
    return isinstance(value, _PLAIN)


def _syntax(thing: FunctionType | CodeType) -> str | None:
    """Source without comments, docstrings and formatting; as it stands in the middle of a line."""
    try:
        text = textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError):
        return None
    try:
        tree = ast.parse(text)
    except SyntaxError:  # a lambda in the middle of an expression
        return text.strip()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
