"""Interpolation of labels: speed and accuracy between known slices of a volume, in one run.

    python benchmarks/interpolation.py [--size 512 512 400] [--every 20]

Three spindle-shaped muscles, every 20th slice known and the others empty; the same volume goes to `zoi`,
`nearest` and `shape` and to ITK's morphological contour interpolation (3D Slicer's Fill between slices), each
on one thread. CPU seconds without loading and compiling, the fastest of three, Dice and error
of the volume over all muscles.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from myosweep.geometry import Grid
from myosweep.labels.morphological import fill_between_slices
from myosweep.labels.slices import fill_slices

STRUCTURES = {"GM": 1, "GL": 2, "SOL": 3}
# Centre and half axes as parts of the volume's size (x, y, z).
MUSCLES = {
    1: ((0.33, 0.33, 0.45), (0.18, 0.13, 0.38)),
    2: ((0.70, 0.34, 0.42), (0.15, 0.11, 0.33)),
    3: ((0.50, 0.66, 0.52), (0.30, 0.15, 0.43)),
}


def muscles(size: tuple[int, int, int]) -> np.ndarray:
    """Labels (z, y, x): ellipses whose axes taper to both ends and that bend along the volume."""
    nx, ny, nz = size
    y, x = np.mgrid[:ny, :nx]
    labels = np.zeros((nz, ny, nx), np.uint8)
    for value, (centre, half) in MUSCLES.items():
        for z in range(nz):
            away = (z / nz - centre[2]) / half[2]
            if abs(away) >= 1:
                continue
            width = (1 - away**2) ** 0.75
            middle = centre[0] + 0.04 * np.sin(5 * away)
            inside = ((x / nx - middle) / (half[0] * width)) ** 2 + (
                (y / ny - centre[1]) / (half[1] * width)
            ) ** 2
            labels[z][(inside < 1) & (labels[z] == 0)] = value
    return labels


def timed(work, repeats):
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        made = work()
        best = min(best, time.process_time() - start)
    return best, made


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 400), metavar=("X", "Y", "Z"))
    parser.add_argument("--every", type=int, default=20)
    given = parser.parse_args()
    true = muscles(tuple(given.size))
    known = np.zeros_like(true)
    known[:: given.every] = true[:: given.every]
    grid = Grid(tuple(given.size), (0.277,) * 3, np.zeros(3), np.eye(3))
    ways = {
        method: lambda method=method: fill_slices(known, grid, STRUCTURES, method)
        for method in ("zoi", "nearest", "shape")
    }
    ways["ITK"] = lambda: fill_between_slices(known)
    small = np.ascontiguousarray(known[:, ::16, ::16])
    fill_between_slices(small)
    for method in ("zoi", "nearest", "shape"):
        fill_slices(small, Grid(small.shape[::-1], (1.0,) * 3, np.zeros(3), np.eye(3)), STRUCTURES, method)
    print("method    CPU s    Dice    volume error %")
    seconds = {}
    for name, work in ways.items():
        seconds[name], made = timed(work, 3)
        both = np.count_nonzero((made == true) & (true > 0))
        dice = 2 * both / (np.count_nonzero(made) + np.count_nonzero(true))
        error = 100 * (np.count_nonzero(made) / np.count_nonzero(true) - 1)
        print(f"{name:8}  {seconds[name]:6.2f}  {dice:.4f}  {error:+.2f}")
    print(f"shape needs {seconds['shape'] / seconds['ITK']:.3f} of ITK's CPU time")


if __name__ == "__main__":
    main()
