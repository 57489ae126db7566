"""Images to map, and maps of them computed in other ways."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

DEFAULTS = {"alpha": 2.0, "beta": 90.0, "gamma": 0.05}


def speckle(shape, seed=0, scale=60.0):
    rng = np.random.default_rng(seed)
    return np.clip(rng.rayleigh(scale, shape), 0, 255).astype(np.uint8)


def limb(shape=(60, 48), seed=0):
    """Speckle with a skin line, a bright fascia and a dark vessel."""
    image = speckle(shape, seed).astype(float)
    rows, cols = shape
    image[:2] = 230
    image[rows // 3, 5:-5] = 250
    image[rows // 2 :, cols // 2 : cols // 2 + 6] *= 0.1
    return image.astype(np.uint8)


def grained(shape, seed=0, across=2.5, along=1.0):
    """Speckle with grains of some pixels, as a scanner shows it; mean 1."""
    rng = np.random.default_rng(seed)
    parts = [ndimage.gaussian_filter(rng.normal(size=shape), (along, across)) for _ in range(2)]
    grains = np.hypot(*parts)
    return grains / grains.mean()


def tissue(shape=(240, 160), bone=None, seed=0):
    """Grained echoes that fade with depth, faint fasciae, a bone (row, first column, end) with its shadow."""
    rows = shape[0]
    depth = np.arange(rows)[:, None] / rows
    image = 30 * grained(shape, seed) * np.exp(-0.7 * depth)
    for part in (0.12, 0.3, 0.75):
        image[int(part * rows) : int(part * rows) + 2] += 12
    if bone:
        row, first, end = bone
        image[row : row + 5, first:end] = 255
        image[row + 5 :, first:end] *= 0.05
    return np.clip(image, 0, 255).astype(np.uint8)


def ends_of(known):
    """The last known pixel of each column that has more than one."""
    ends = np.zeros(known.shape, dtype=bool)
    for c in range(known.shape[1]):
        rows = np.flatnonzero(known[:, c])
        if rows.size > 1:
            ends[rows[-1], c] = True
    return ends


def dense_walk(image, known, *, alpha, beta, gamma, sink=None, white=None, depth=None, absorption=None):
    """The same walk without any structure: all pairs of pixels, a full matrix, least squares."""
    rows, cols = image.shape
    first = np.where(known.any(0), known.argmax(0), 0)
    last = np.where(known.any(0), rows - 1 - known[::-1].argmax(0), -1)
    length = depth or max(int((last - first).max()), 1)
    values = image.astype(float)
    low, high = (values[known].min(), values[known].max()) if white is None else (0.0, white)
    eps = np.finfo(float).eps
    pixels = [tuple(p) for p in np.argwhere(known)]
    signal = {
        (r, c): (values[r, c] - low) / (high - low + eps) * (1 - np.exp(-alpha * (r - first[c]) / length))
        for r, c in pixels
    }
    pairs = [
        (p, (p[0] + i, p[1] + j))
        for p in pixels
        for i, j in ((0, 1), (1, 0), (1, 1), (1, -1))
        if (p[0] + i, p[1] + j) in signal
    ]
    difference = {pair: abs(signal[pair[0]] - signal[pair[1]]) for pair in pairs}
    largest = max(difference.values(), default=0) + eps if white is None else 1.0
    cost = {pair: d / largest + (0 if pair[0][1] == pair[1][1] else gamma) for pair, d in difference.items()}
    largest = max(cost.values(), default=0) + eps if white is None else 1.0
    number = {p: k for k, p in enumerate(pixels)}
    laplacian = np.zeros((len(pixels), len(pixels)))
    for (p, q), value in cost.items():
        a, b = number[p], number[q]
        weight = np.exp(-beta * value / largest) + 1e-5
        laplacian[a, a] += weight
        laplacian[b, b] += weight
        laplacian[a, b] -= weight
        laplacian[b, a] -= weight
    if absorption is not None:
        laplacian += np.diag(absorption[known])
    source = {number[first[c], c] for c in range(cols) if known[:, c].any()}
    marked = ends_of(known) if sink is None else sink & known
    sinks = {number[tuple(p)] for p in np.argwhere(marked)} - source
    free = sorted(set(range(len(pixels))) - source - sinks)
    answer = np.zeros(len(pixels))
    answer[list(source)] = 1
    # The solution of smallest norm is 0 in a piece that touches neither source nor sink.
    right = -laplacian[np.ix_(free, range(len(pixels)))] @ answer
    answer[free] = np.linalg.lstsq(laplacian[np.ix_(free, free)], right, rcond=None)[0]
    result = np.zeros(image.shape)
    result[known] = answer
    return result


def handed_down(image, alpha, bottom):
    """The directed map of a fully known image, one pixel and one parent at a time."""
    rows, cols = image.shape
    values = (image - image.min()) / np.ptp(image)
    bump = {k: math.exp(-(k**2) / 16) for k in range(-10, 11)}
    losses = [math.exp(-alpha * i / (rows - 1)) for i in range(rows - 1)]
    xi = -math.log(bottom) / sum(losses)
    result = np.ones((rows, cols))
    for i in range(1, rows):
        for j in range(cols):
            total = weight = 0.0
            for k, g in bump.items():
                if not 0 <= j + k < cols:
                    continue
                own = abs(values[i, j] - values[i - 1, j + k]) + 1e-4
                pairs = [(c, c + k) for c in range(cols) if 0 <= c + k < cols]
                mean = sum(abs(values[i, c] - values[i - 1, p]) for c, p in pairs) / len(pairs) + 1e-4
                total += g * result[i - 1, j + k] * math.exp(-xi * losses[i - 1] * own / mean)
                weight += g
            result[i, j] = total / weight
    return result
