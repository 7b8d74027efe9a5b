"""Which documents are kept apart for evaluation: by their numbers alone."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction


def holding_out(fraction: float) -> Callable[[int], bool]:
    """Whether the document of a number (from 0) is held out, for a share above 0 and at most 0.5 of them.

    They are spread evenly: of every n documents in a row, n * fraction, or one more or less. For a share of 1/k it is
    every k-th one, from number k // 2 on.
    """
    parts, whole = _exact(fraction).as_integer_ratio()
    first = whole // (2 * parts)
    return lambda number: (number - first) * parts % whole < parts


def _exact(fraction: float) -> Fraction:
    """What was meant by it: 1/k, where that is the nearest number to it, or its decimals."""
    reciprocal = round(1 / fraction)
    return Fraction(1, reciprocal) if fraction == 1 / reciprocal else Fraction(str(float(fraction)))
