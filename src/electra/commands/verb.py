"""What makes a verb of its function: it takes a config, or the config's fields as arguments.

So `electra.pretrain("corpus.txt", output="run")`, `electra.pretrain(PretrainConfig(…))` and `electra pretrain
corpus.txt --output run` are one call.
"""

from __future__ import annotations

import ast
import inspect
import os
import textwrap
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from electra.validation import did_you_mean

Returned = TypeVar("Returned")


def verb(config_class: type[Any]) -> Callable[[Callable[[Any], Returned]], Callable[..., Returned]]:
    """Decorate a function of a config so that it takes the config's fields too.

    Strings are understood where a field is a path, and one file where it is a tuple of files, as on the command line.

    Args:
        config_class: the dataclass of the function's only parameter. Its field docstrings become the Args section of
            the function's docstring.

    Returns:
        A decorator. The decorated function raises `TypeError` for a field that the config does not have or that is
        missing, and what the config and the function raise.
    """

    def decorate(function: Callable[[Any], Returned]) -> Callable[..., Returned]:
        @wraps(function)
        def call(*arguments: Any, **options: Any) -> Returned:
            if len(arguments) == 1 and not options and isinstance(arguments[0], config_class):
                return function(arguments[0])
            return function(_config(config_class, function.__name__, arguments, options))

        call.__signature__ = inspect.signature(config_class)  # type: ignore[attr-defined]
        call.__doc__ = _with_arguments(function.__doc__ or "", config_class)
        return call

    return decorate


def _config(config_class: type[Any], name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    known = [field.name for field in fields(config_class)]
    for option in options:
        if option not in known:
            raise TypeError(f"{name}() has no argument {option!r}{did_you_mean(option, known)}")
    try:
        bound = inspect.signature(config_class).bind(*arguments, **options)
    except TypeError as error:
        raise TypeError(f"{name}(): {error}") from error
    hints = get_type_hints(config_class)
    return config_class(**{option: _as_field(value, hints[option]) for option, value in bound.arguments.items()})


def _as_field(value: Any, annotation: Any) -> Any:
    """The value as a field of that annotation: str -> Path, one file or a list of them -> tuple."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    for kind in kinds:
        if get_origin(kind) is tuple and not isinstance(value, tuple):
            item = get_args(kind)[0]
            if isinstance(value, (str, os.PathLike)):
                return (_as_field(value, item),)
            if isinstance(value, list):
                return tuple(_as_field(one, item) for one in value)
    if isinstance(value, str) and Path in kinds and str not in kinds:
        return Path(value)
    if isinstance(value, os.PathLike) and str in kinds and Path not in kinds:
        return os.fspath(value)
    return value


def _with_arguments(docstring: str, config_class: type[Any]) -> str:
    """The docstring with an Args section made of the fields' docstrings."""
    described = "".join(
        f"    {name}: {textwrap.indent(' '.join(text.split()), '        ').strip()}\n"
        for name, text in field_docstrings(config_class).items()
    )
    clean = inspect.cleandoc(docstring)
    section = f"Args:\n    config: a {config_class.__name__} in place of all that follow.\n{described}"
    before, marker, after = (
        clean.partition("\nReturns:\n") if "\nReturns:\n" in clean else clean.partition("\nRaises:\n")
    )
    return f"{before.rstrip()}\n\n{section}{marker}{after}" if marker else f"{clean}\n\n{section}"


def field_docstrings(config_class: type[Any]) -> dict[str, str]:
    """Field name -> the string literal that follows it in the class's source; empty where there is no source."""
    try:
        source = textwrap.dedent(inspect.getsource(config_class))
    except OSError:
        return {}
    body = ast.parse(source).body[0].body  # type: ignore[attr-defined]
    found = {}
    for field, text in pairwise(body):
        literal = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and literal:
            found[field.target.id] = str(text.value.value)
    return found
