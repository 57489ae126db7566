"""Partial Cholesky factorisation of a dense matrix: the kernel in which a confidence map spends its time.

Compiled here, not taken from LAPACK, whose sums follow the number of its threads: the same bits on any number
of cores. On fronts of a hundred to a thousand rows it reaches 20 to 28 Gflop/s on one core with AVX-512.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

PANEL = 8

# Distance between the panel's columns in memory. A constant of the compiled code, so that the compiler sees
# one array with fixed offsets, not eight arrays that may overlap, and vectorises; no power of two, which
# would map all columns to the same cache lines.
STRIDE = 4104
WIDEST = STRIDE - PANEL


@njit(cache=True, fastmath=True)
def _factor_panel(front: NDArray[np.float64], right: NDArray[np.float64], first: int, count: int) -> None:
    """Factor the columns first .. first + count - 1 and take them out of the right side."""
    n = right.size
    for t in range(count):
        j = first + t
        length = n - j
        column = front[j * n : j * n + length]
        inverse = 1.0 / np.sqrt(column[0])
        column *= inverse
        value = right[j] * inverse
        right[j] = value
        rest = right[j : j + length]
        for d in range(1, length):
            rest[d] -= value * column[d]
        for q in range(t + 1, count):
            scale = column[q - t]
            source = column[q - t :]
            target = front[(first + q) * n : (first + q) * n + source.size]
            for d in range(source.size):
                target[d] -= scale * source[d]


@njit(cache=True, fastmath=True)
def _update_four(
    front: NDArray[np.float64], start: int, n: int, panel: NDArray[np.float64], o: int, length: int
) -> None:
    """Subtract the panel's product from four columns of the front, in one pass over the panel.

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
    # The next column's entry in the same row of the matrix lies n - 1 further on.
    a = front[start : start + length]
    b = front[start + (n - 1) : start + (n - 1) + length]
    c = front[start + 2 * (n - 1) : start + 2 * (n - 1) + length]
    d = front[start + 3 * (n - 1) : start + 3 * (n - 1) + length]
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


@njit(cache=True)
def eliminate(front: NDArray[np.float64], right: NDArray[np.float64], columns: int) -> None:
    """Factor the first columns in place, and take them out of the rest of the matrix and of the right side.

    Right-looking: eight columns are factored, then leave all below them in one update.

    Parameters
    ----------
    front
        A symmetric positive definite matrix A with front[j * n + d] = A[j + d, j], shape (n * n,); n at most
        WIDEST. Entries with j + d >= n are not touched.
    right
        Shape (n,).
    columns
        How many to eliminate.
    """
    n = right.size
    panel = np.empty(PANEL * STRIDE)
    for first in range(0, columns, PANEL):
        count = min(PANEL, columns - first)
        _factor_panel(front, right, first, count)
        for t in range(PANEL):
            column = panel[t * STRIDE : t * STRIDE + n - first]
            column[:] = 0.0
            if t < count:
                column[t:] = front[(first + t) * n : (first + t) * n + n - first - t]
        j = first + count
        while j + 3 < n:
            o = j - first
            for a in range(3):
                for i in range(a, 3):
                    front[(j + a) * n + i - a] -= _panel_product(panel, o + a, o + i)
            _update_four(front, j * n + 3, n, panel, o, n - j - 3)
            j += 4
        while j < n:
            for i in range(n - j):
                front[j * n + i] -= _panel_product(panel, j - first, j - first + i)
            j += 1
