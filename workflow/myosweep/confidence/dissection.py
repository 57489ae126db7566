"""Cholesky solution by nested dissection of the pixel grid, one dense front per box (multifrontal).

A line of pixels splits the grid into two halves that do not touch, each half is split again, down to small
boxes (George 1973). Boxes are eliminated first, then the lines, from the shortest to the longest; what an
elimination leaves on the pixels around its box is a dense matrix that is added to the next front (Duff and
Reid 1983). The work grows with (rows x cols)^1.5. The order depends on the size alone and is made once for
each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from myosweep.confidence.elimination import eliminate

# The fastest of 40, 64, 100 and 160 on images of 130 x 95 to 512 x 512.
LEAF_PIXELS = 40

# Some 3 GB; the largest front, at most 1.5 times as wide as a square image, fits `elimination.WIDEST`.
MOST_PIXELS = 2**22


@dataclass(frozen=True)
class Plan:
    """The order of elimination for one image size.

    Node k eliminates the pixels `own[own_start[k] : own_start[k + 1]]`; its front also holds the pixels
    around its box that are eliminated later, `ring[ring_start[k] : ring_start[k + 1]]`. Children precede
    their parent, and their remainders lie on a stack when it comes.
    """

    own: NDArray[np.int64]
    own_start: NDArray[np.int64]
    ring: NDArray[np.int64]
    ring_start: NDArray[np.int64]
    children: NDArray[np.int64]
    widest: int
    factor_size: int
    stack_size: int


@lru_cache(maxsize=8)
def plan_for(rows: int, cols: int) -> Plan:
    """The plan for an image of rows x cols pixels, numbered along the rows."""
    numbers = np.arange(rows * cols).reshape(rows, cols)
    own: list[NDArray[np.int64]] = []
    ring: list[NDArray[np.int64]] = []
    children: list[int] = []

    def split(top: int, bottom: int, left: int, right: int) -> None:
        box = numbers[top:bottom, left:right]
        height, width = box.shape
        if box.size <= LEAF_PIXELS or max(height, width) < 3:
            mine, parts = box.ravel(), 0
        elif height >= width:
            middle = (top + bottom) // 2
            split(top, middle, left, right)
            split(middle + 1, bottom, left, right)
            mine, parts = numbers[middle, left:right], 2
        else:
            middle = (left + right) // 2
            split(top, bottom, left, middle)
            split(top, bottom, middle + 1, right)
            mine, parts = numbers[top:bottom, middle], 2
        wide = slice(max(left - 1, 0), right + 1)
        around = [
            numbers[top - 1 : top, wide] if top else numbers[:0],
            numbers[top:bottom, left - 1 : left] if left else numbers[:0],
            numbers[top:bottom, right : right + 1],
            numbers[bottom : bottom + 1, wide],
        ]
        own.append(mine)
        ring.append(np.concatenate([part.ravel() for part in around]))
        children.append(parts)

    split(0, rows, 0, cols)
    own_sizes = np.array([part.size for part in own])
    ring_sizes = np.array([part.size for part in ring])
    fronts = own_sizes + ring_sizes
    stack: list[int] = []
    height = deepest = 0
    for front, remainder, parts in zip(fronts, ring_sizes, children, strict=True):
        deepest = max(deepest, height + int(front) ** 2)
        for _ in range(parts):
            height -= stack.pop()
        stack.append(int(remainder) ** 2)
        height += stack[-1]
    return Plan(
        np.concatenate(own),
        np.concatenate([[0], np.cumsum(own_sizes)]),
        np.concatenate(ring),
        np.concatenate([[0], np.cumsum(ring_sizes)]),
        np.array(children),
        int(fronts.max()),
        int((own_sizes * fronts).sum()),
        deepest,
    )


@njit(cache=True, nogil=True)
def _solve(
    links: NDArray[np.float64],
    right: NDArray[np.float64],
    cols: int,
    own: NDArray[np.int64],
    own_start: NDArray[np.int64],
    ring: NDArray[np.int64],
    ring_start: NDArray[np.int64],
    children: NDArray[np.int64],
    widest: int,
    factors: NDArray[np.float64],
    stack: NDArray[np.float64],
) -> None:
    n = right.size
    nodes = children.size
    place = np.full(n, -1)
    front_of = np.full(n, -1)
    values = np.zeros(widest)
    steps = np.array([0, 1, cols - 1, cols, cols + 1])
    factor_start = np.zeros(nodes + 1, dtype=np.int64)
    bases = np.zeros(nodes + 1, dtype=np.int64)  # Where each remainder on the stack begins, and whose it is.
    owners = np.zeros(nodes + 1, dtype=np.int64)
    depth, top = 0, 0
    for k in range(nodes):
        count = own_start[k + 1] - own_start[k]
        extra = ring_start[k + 1] - ring_start[k]
        width = count + extra
        mine, around = own[own_start[k] : own_start[k + 1]], ring[ring_start[k] : ring_start[k + 1]]
        for i in range(count):
            place[mine[i]], front_of[mine[i]] = i, k
            values[i] = right[mine[i]]
        for i in range(extra):
            place[around[i]], front_of[around[i]] = count + i, k
            values[count + i] = 0.0
        front = stack[top : top + width * width]
        front[:] = 0.0
        for i in range(count):
            pixel = mine[i]
            for e in range(5):
                # The link to a later pixel, and the one from an earlier pixel that is no own one of this
                # front.
                other = pixel + steps[e]
                if other < n and links[e * n + pixel] != 0.0 and front_of[other] == k:
                    a, b = min(i, place[other]), max(i, place[other])
                    front[a * width + b - a] += links[e * n + pixel]
                other = pixel - steps[e]
                if (
                    e > 0
                    and other >= 0
                    and links[e * n + other] != 0.0
                    and front_of[other] == k
                    and place[other] >= count
                ):
                    front[i * width + place[other] - i] += links[e * n + other]
        for _ in range(children[k]):
            depth -= 1
            child = owners[depth]
            theirs = ring[ring_start[child] : ring_start[child + 1]]
            size = theirs.size
            rest = stack[bases[depth] : bases[depth] + size * size]
            for i in range(size):
                a = place[theirs[i]]
                for j in range(i, size):
                    b = place[theirs[j]]
                    if a < b:
                        front[a * width + b - a] += rest[i * size + j - i]
                    else:
                        front[b * width + a - b] += rest[i * size + j - i]
            start = bases[depth]
        eliminate(front, values[:width], count)
        factor_start[k + 1] = factor_start[k] + count * width
        factors[factor_start[k] : factor_start[k + 1]] = front[: count * width]
        for i in range(count):
            right[mine[i]] = values[i]
        for i in range(extra):
            right[around[i]] += values[count + i]
        base = start if children[k] else top
        for i in range(extra):
            source = (count + i) * width
            for d in range(extra - i):
                stack[base + i * extra + d] = front[source + d]
        bases[depth], owners[depth] = base, k
        depth += 1
        top = base + extra * extra
    for k in range(nodes - 1, -1, -1):
        count = own_start[k + 1] - own_start[k]
        extra = ring_start[k + 1] - ring_start[k]
        width = count + extra
        for i in range(count):
            values[i] = right[own[own_start[k] + i]]
        for i in range(extra):
            values[count + i] = right[ring[ring_start[k] + i]]
        for i in range(count - 1, -1, -1):
            column = factors[factor_start[k] + i * width : factor_start[k] + i * width + width - i]
            value = values[i]
            for d in range(1, width - i):
                value -= column[d] * values[i + d]
            values[i] = value / column[0]
        for i in range(count):
            right[own[own_start[k] + i]] = values[i]


class Memory:
    """Arrays kept from one image to the next."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[np.float64]] = {}

    def take(self, name: str, size: int) -> NDArray[np.float64]:
        """The array of this name, with `size` numbers, whatever they are."""
        if name not in self._arrays or self._arrays[name].size < size:
            self._arrays[name] = np.empty(size)
        return self._arrays[name][:size]


def solve(links: NDArray[np.float64], right: NDArray[np.float64], cols: int, memory: Memory) -> None:
    """Solve the system of `graph.fill_links`; `right` is overwritten with its solution."""
    plan = plan_for(right.size // cols, cols)
    _solve(
        links,
        right,
        cols,
        plan.own,
        plan.own_start,
        plan.ring,
        plan.ring_start,
        plan.children,
        plan.widest,
        memory.take("factors", plan.factor_size),
        memory.take("stack", plan.stack_size),
    )
