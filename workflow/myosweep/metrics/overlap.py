"""Voxel counts and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Overlap:
    """How many voxels prediction and reference share.

    An empty prediction of a structure that is there scores 0 everywhere, and so does a prediction of a
    structure that is not there; where both are empty every score is 1.

    Attributes
    ----------
    both, prediction, reference
        Number of voxels in both masks, in the prediction and in the reference.
    """

    both: int
    prediction: int
    reference: int

    @property
    def dice(self) -> float:
        """2 |P and R| / (|P| + |R|) (Dice 1945)."""
        return _share(2 * self.both, self.prediction + self.reference)

    @property
    def iou(self) -> float:
        """|P and R| / |P or R| (Jaccard 1912)."""
        return _share(self.both, self.prediction + self.reference - self.both)

    @property
    def precision(self) -> float:
        """|P and R| / |P|."""
        return _share(self.both, self.prediction) if self.prediction else self._nothing

    @property
    def recall(self) -> float:
        """|P and R| / |R|."""
        return _share(self.both, self.reference) if self.reference else self._nothing

    @property
    def _nothing(self) -> float:
        return 1.0 if self.prediction == self.reference else 0.0


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def overlap(prediction: NDArray[np.bool_], reference: NDArray[np.bool_]) -> Overlap:
    """Count two masks of the same shape."""
    both = int(np.count_nonzero(prediction & reference))
    return Overlap(both, int(np.count_nonzero(prediction)), int(np.count_nonzero(reference)))


def label_counts(prediction: NDArray[np.uint8], reference: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each pair of labels meets: counts[p, r], shape (256, 256), of two volumes (z, y, x)."""
    counts = np.zeros(65536, dtype=np.int64)
    # By slices: a whole pass would hold 10 bytes for every voxel.
    for ours, theirs in zip(prediction, reference, strict=True):
        pairs = ours.astype(np.uint16).ravel()
        pairs <<= 8
        pairs |= theirs.ravel()
        counts += np.bincount(pairs, minlength=counts.size)
    return counts.reshape(256, 256)


def overlap_of_label(counts: NDArray[np.int64], value: int, unknown: int = 255) -> Overlap:
    """The overlap of one label from `label_counts`; a voxel unknown in either volume is not counted."""
    known = np.arange(256) != unknown
    return Overlap(
        int(counts[value, value]), int(counts[value, known].sum()), int(counts[known, value].sum())
    )
