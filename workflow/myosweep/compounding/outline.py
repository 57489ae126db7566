"""Convex outlines of pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def hull_points(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Corners of the convex hull of pixels' centres, (corner, 2) as (column, row)."""
    rows, left, right = _sides(mask)
    corners = dict.fromkeys(_chain(left, rows, 1) + _chain(right, rows, -1)[::-1])
    return np.array(list(corners), np.int64).reshape(-1, 2)


def hull_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels whose centres lie in the convex hull of a mask's pixels."""
    hull = np.zeros_like(mask)
    rows, left, right = _sides(mask)
    if not len(rows):
        return hull
    every = np.arange(rows[0], rows[-1] + 1)
    first, last = (
        np.interp(every, [row for _, row in chain], [column for column, _ in chain])[:, np.newaxis]
        for chain in (_chain(left, rows, 1), _chain(right, rows, -1))
    )
    columns = np.arange(mask.shape[1])
    hull[every] = (columns >= first - 1e-9) & (columns <= last + 1e-9)
    return hull


def _sides(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The rows that hold something, with their first and last columns."""
    rows = np.flatnonzero(mask.any(axis=1)).astype(np.int64)
    left = mask[rows].argmax(axis=1).astype(np.int64)
    right = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1).astype(np.int64)
    return rows, left, right


def _chain(columns: NDArray[np.int64], rows: NDArray[np.int64], side: int) -> list[tuple[int, int]]:
    """One side of the hull from row to row (side 1: left, -1: right), exact, as Andrew (1979)."""
    chain: list[tuple[int, int]] = []
    for x, y in zip(columns.tolist(), rows.tolist(), strict=True):
        while len(chain) > 1:
            (ax, ay), (bx, by) = chain[-2:]
            if side * ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) < 0:
                break
            chain.pop()
        chain.append((x, y))
    return chain
