"""Cholesky solution of a symmetric positive definite band system, the same bits on any number of cores.

LAPACK's band solver (dpbsv in the BLAS that SciPy brings) takes two to three times as long on slices of
100 x 100 to 250 x 250, and sums in an order that follows the number of its threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

PANEL = 8

# Distance between the panel's columns in memory. A constant of the compiled code, so that the compiler sees
# one array with fixed offsets, not eight arrays that may overlap, and vectorises; no power of two, which
# would map all columns to the same cache lines.
STRIDE = 2056
WIDEST = STRIDE - PANEL


@njit(cache=True, fastmath=True)
def _factor_panel(
    band: NDArray[np.float64], width: int, right: NDArray[np.float64], first: int, count: int
) -> None:
    """Factor the columns first .. first + count - 1 and take them out of the right side."""
    n = right.size
    for t in range(count):
        j = first + t
        length = min(n - j, width)
        column = band[j * width : j * width + length]
        inverse = 1.0 / np.sqrt(column[0])
        column *= inverse
        value = right[j] * inverse
        right[j] = value
        rest = right[j : j + length]
        for d in range(1, length):
            rest[d] -= value * column[d]
        for q in range(t + 1, min(count, t + width)):
            scale = column[q - t]
            source = column[q - t :]
            target = band[(first + q) * width : (first + q) * width + source.size]
            for d in range(source.size):
                target[d] -= scale * source[d]


@njit(cache=True, fastmath=True)
def _update_four(
    band: NDArray[np.float64], start: int, width: int, panel: NDArray[np.float64], o: int, length: int
) -> None:
    """Subtract the panel's product from four columns of the band, in one pass over the panel.

    `start` is where the first column's fourth entry lies; the entries above are the caller's.
    """
    a0, a1, a2, a3 = panel[o], panel[STRIDE + o], panel[2 * STRIDE + o], panel[3 * STRIDE + o]
    a4, a5, a6, a7 = (
        panel[4 * STRIDE + o],
        panel[5 * STRIDE + o],
        panel[6 * STRIDE + o],
        panel[7 * STRIDE + o],
    )
    o += 1
    b0, b1, b2, b3 = panel[o], panel[STRIDE + o], panel[2 * STRIDE + o], panel[3 * STRIDE + o]
    b4, b5, b6, b7 = (
        panel[4 * STRIDE + o],
        panel[5 * STRIDE + o],
        panel[6 * STRIDE + o],
        panel[7 * STRIDE + o],
    )
    o += 1
    c0, c1, c2, c3 = panel[o], panel[STRIDE + o], panel[2 * STRIDE + o], panel[3 * STRIDE + o]
    c4, c5, c6, c7 = (
        panel[4 * STRIDE + o],
        panel[5 * STRIDE + o],
        panel[6 * STRIDE + o],
        panel[7 * STRIDE + o],
    )
    o += 1
    d0, d1, d2, d3 = panel[o], panel[STRIDE + o], panel[2 * STRIDE + o], panel[3 * STRIDE + o]
    d4, d5, d6, d7 = (
        panel[4 * STRIDE + o],
        panel[5 * STRIDE + o],
        panel[6 * STRIDE + o],
        panel[7 * STRIDE + o],
    )
    p0 = panel[o : o + length]
    p1 = panel[STRIDE + o : STRIDE + o + length]
    p2 = panel[2 * STRIDE + o : 2 * STRIDE + o + length]
    p3 = panel[3 * STRIDE + o : 3 * STRIDE + o + length]
    p4 = panel[4 * STRIDE + o : 4 * STRIDE + o + length]
    p5 = panel[5 * STRIDE + o : 5 * STRIDE + o + length]
    p6 = panel[6 * STRIDE + o : 6 * STRIDE + o + length]
    p7 = panel[7 * STRIDE + o : 7 * STRIDE + o + length]
    # The next column's entry in the same row of the matrix lies width - 1 further on.
    a = band[start : start + length]
    b = band[start + (width - 1) : start + (width - 1) + length]
    c = band[start + 2 * (width - 1) : start + 2 * (width - 1) + length]
    d = band[start + 3 * (width - 1) : start + 3 * (width - 1) + length]
    for i in range(length):
        x0, x1, x2, x3, x4, x5, x6, x7 = p0[i], p1[i], p2[i], p3[i], p4[i], p5[i], p6[i], p7[i]
        a[i] -= a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3 + a4 * x4 + a5 * x5 + a6 * x6 + a7 * x7
        b[i] -= b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3 + b4 * x4 + b5 * x5 + b6 * x6 + b7 * x7
        c[i] -= c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3 + c4 * x4 + c5 * x5 + c6 * x6 + c7 * x7
        d[i] -= d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3 + d4 * x4 + d5 * x5 + d6 * x6 + d7 * x7


@njit(cache=True)
def _panel_product(panel: NDArray[np.float64], row: int, column: int) -> float:
    total = 0.0
    for t in range(PANEL):
        total += panel[t * STRIDE + row] * panel[t * STRIDE + column]
    return total


@njit(cache=True, fastmath=True)
def _substitute_back(band: NDArray[np.float64], width: int, right: NDArray[np.float64]) -> None:
    n = right.size
    for j in range(n - 1, -1, -1):
        length = min(n - j, width)
        column, rest = band[j * width : j * width + length], right[j : j + length]
        value = rest[0]
        for d in range(1, length):
            value -= column[d] * rest[d]
        rest[0] = value / column[0]


@njit(cache=True)
def solve_band(band: NDArray[np.float64], width: int, right: NDArray[np.float64]) -> None:
    """Solve A x = right; both arrays are overwritten, `right` with x.

    Right-looking: eight columns are factored, then leave the window below them in one update.

    Parameters
    ----------
    band
        band[j * width + d] = A[j + d, j], shape (n * width,).
    width
        Bandwidth plus one (the diagonal), at most WIDEST.
    right
        Shape (n,).
    """
    n = right.size
    panel = np.zeros(PANEL * STRIDE)
    for first in range(0, n, PANEL):
        count = min(PANEL, n - first)
        end = min(n, first + count + width - 1)
        _factor_panel(band, width, right, first, count)
        for t in range(PANEL):
            column = panel[t * STRIDE : t * STRIDE + end - first]
            column[:] = 0.0
            if t < count:
                length = min(n - first - t, width)
                column[t : t + length] = band[(first + t) * width : (first + t) * width + length]
        j = first + count
        while j + 3 < end:
            o = j - first
            for a in range(3):
                for i in range(a, 3):
                    band[(j + a) * width + i - a] -= _panel_product(panel, o + a, o + i)
            _update_four(band, j * width + 3, width, panel, o, end - j - 3)
            j += 4
        while j < end:
            for i in range(end - j):
                band[j * width + i] -= _panel_product(panel, j - first, j - first + i)
            j += 1
    _substitute_back(band, width, right)
