"""Which documents are held out for evaluation, decided by their numbers alone."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction


def holding_out(fraction: float) -> Callable[[int], bool]:
    """The rule by which a document is held out.

    Held-out documents are spread evenly: of every n consecutive documents, n * fraction are held out, or one more or
    less. For a fraction of 1/k it is every k-th document, starting with number k // 2.

    Args:
        fraction: of all documents, above 0 and at most 0.5.

    Returns:
        A function from a document's number (from 0) to whether it is held out.
    """
    parts, whole = _exact(fraction).as_integer_ratio()
    first = whole // (2 * parts)
    return lambda number: (number - first) * parts % whole < parts


def _exact(fraction: float) -> Fraction:
    """The fraction without rounding error: 1/k where that is the nearest float, otherwise its decimals."""
    reciprocal = round(1 / fraction)
    return Fraction(1, reciprocal) if fraction == 1 / reciprocal else Fraction(str(float(fraction)))
