"""Checks of values that users give, and one form of message: the name, what came, what is allowed, what to do.

The lowest module of the package: everything may import it, and it imports nothing of the package.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin


def require(holds: bool, name: str, value: object, allowed: str, remedy: str = "") -> None:
    """Refuse a value unless `holds`.

    Args:
        holds: whether the value is allowed.
        name: the argument, flag or field as the user knows it.
        value: what came; shown by `repr`.
        allowed: what is allowed, so that "it must be {allowed}" reads well.
        remedy: what to do, a clause without a full stop.

    Raises:
        ValueError: `NAME is VALUE: it must be ALLOWED; REMEDY`.
    """
    if not holds:
        raise ValueError(f"{name} is {shown(value)}: it must be {allowed}" + (f"; {remedy}" if remedy else ""))


def require_one_of(name: str, value: object, allowed: Iterable[Any], remedy: str = "") -> None:
    """Refuse a value that is none of `allowed`; the message lists them and suggests the nearest."""
    choices = list(allowed)
    if value not in choices:
        listed = ", ".join(map(str, choices))
        raise ValueError(
            f"{name} is {shown(value)}: choose one of {listed}{did_you_mean(value, choices)}"
            + (f"; {remedy}" if remedy else "")
        )


def require_count(name: str, value: object, least: int = 1) -> None:
    """Refuse what is not a whole number of at least `least`."""
    require(is_count(value, least), name, value, f"a whole number, {least} or more")


def require_positive(name: str, value: object) -> None:
    """Refuse what is not a finite number above 0."""
    require(is_number(value) and value > 0, name, value, "a finite number above 0")  # type: ignore[operator]


def require_fraction(name: str, value: object) -> None:
    """Refuse what is not a number from 0 to 1, both included."""
    require(is_number(value) and 0 <= value <= 1, name, value, "a number from 0 to 1")  # type: ignore[operator]


def require_type(name: str, value: object, annotation: Any) -> None:
    """Refuse what is not of an annotated type.

    Args:
        name: the argument, flag or field as the user knows it.
        value: what came.
        annotation: a resolved type hint: bool, int, float, str, None, `Any`, `Literal[…]`, sequences, mappings, and
            unions of these. An int is a float too, True and False are neither; a float is finite.

    Raises:
        ValueError: `NAME is VALUE: it must be TYPE`, the type in words.
    """
    require(_is_of_type(value, annotation), name, value, _type_in_words(annotation))


def _is_of_type(value: object, annotation: Any) -> bool:
    origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if origin in (Union, UnionType):
        return any(_is_of_type(value, one) for one in arguments)
    if origin is Literal:
        return any(value == one and isinstance(value, type(one)) for one in arguments)
    if origin in _NUMBERS:
        return _NUMBERS[origin](value)
    if origin is None or origin is NoneType:
        return value is None
    if origin is Any or not isinstance(origin, type):
        return True  # type variables too
    if issubclass(origin, (list, tuple)) or origin is Sequence:
        items = arguments[:1] or (Any,)
        return isinstance(value, (list, tuple)) and all(_is_of_type(item, items[0]) for item in value)
    if issubclass(origin, Mapping) and arguments:
        pairs = value.items() if isinstance(value, origin) else ()
        kinds = all(_is_of_type(k, arguments[0]) and _is_of_type(v, arguments[1]) for k, v in pairs)
        return isinstance(value, origin) and kinds
    return isinstance(value, origin)


def _type_in_words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if origin in (Union, UnionType):
        words = [_type_in_words(one) for one in arguments]
        return f"{', '.join(words[:-1])} or {words[-1]}"
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if origin in _WORDS:
        return _WORDS[origin]
    if origin is None or origin is NoneType:
        return "None"
    if origin is Sequence or (isinstance(origin, type) and issubclass(origin, (list, tuple))):
        plural = {"a string": "strings", "a whole number": "whole numbers", "a finite number": "finite numbers"}
        item = plural.get(_type_in_words(arguments[0]), "") if arguments else ""
        return f"a list of {item}" if item else "a list"
    return "a dict" if origin is Mapping or origin is dict else f"a {getattr(origin, '__name__', origin)}"


def shown(value: object, most: int = 200) -> str:
    """`repr` of a value for a message: of what is long, the beginning."""
    if isinstance(value, int) and value.bit_length() > 4 * most:  # Python refuses to write numbers of many digits
        return f"a number of about {int(value.bit_length() * 0.30103) + 1} digits"
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def is_whole(value: object) -> bool:
    """Whether it is a whole number, of NumPy too; True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_count(value: object, least: int = 1) -> bool:
    """Whether it is a whole number of at least `least`."""
    return is_whole(value) and value >= least  # type: ignore[operator]


def is_number(value: object) -> bool:
    """Whether it is a finite int or float, of NumPy too; True and False are not."""
    if isinstance(value, Integral):
        return not isinstance(value, bool)  # always finite, and maybe too large for math.isfinite
    return isinstance(value, Real) and math.isfinite(value)


def as_number(value: object, name: str) -> float:
    """A finite number, which may be in a string, as CSV files have it.

    Raises:
        ValueError: it is something else, NaN and infinity among it.
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    require(math.isfinite(number), name, value, "a finite number")
    return number


def did_you_mean(word: object, known: Iterable[object], cutoff: float = 0.6) -> str:
    """`. Did you mean X?` for the known word that is nearest, or an empty string.

    Args:
        word: what came.
        known: what is known.
        cutoff: how alike they must be, from 0 to 1.
    """
    near = get_close_matches(str(word), [str(other) for other in known], n=1, cutoff=cutoff)
    return f". Did you mean {near[0]}?" if near else ""


def choose_one_of(word: object, known: Iterable[object]) -> str:
    """The end of a sentence about an unknown name: `. Did you mean X? Choose one of X, Y, Z.`."""
    choices = sorted(map(str, known))
    return f"{did_you_mean(word, choices) or '.'} Choose one of {', '.join(choices)}."


def import_extra(module: str, extra: str, purpose: str) -> Any:
    """Import a module of an optional package.

    Args:
        module: its dotted name.
        extra: the extra of this package that installs it.
        purpose: what needs it, so that "{purpose} needs PACKAGE" reads well.

    Raises:
        ImportError: it is not installed; the message has the command that installs it. A module that is installed and
            fails to import what it needs itself is named by its own error.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != package:
            raise
        name = _PACKAGES.get(package, package)
        raise ImportError(f"{purpose} needs {name}, which is not installed: pip install 'electra[{extra}]'") from error


_PACKAGES = {"sklearn": "scikit-learn"}
"""The package that a module is installed by, where the names differ."""

_NUMBERS: dict[Any, Callable[[object], bool]] = {
    bool: lambda value: isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"),  # NumPy's are no bool
    int: is_whole,
    float: is_number,
}
_WORDS: dict[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "a string",
}

_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]")
# Control characters, the marks that override the direction of text, lone surrogates (which UTF-8 cannot write).
# U+200C to U+200F stay: Arabic, Hebrew, Persian and Indic spelling needs them.


def visible(text: str) -> str:
    """The text with each hidden character as its code point, such as `[U+202E]`."""
    return _HIDDEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)
