"""The slices of a case from which a network propagates: those that an expert outlined, or a few of them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from myosweep.errors import InputError
from myosweep.training.lattice import Floats
from myosweep.training.propagation import Volume, enough_known, part_of_known


class NothingToPropagate(InputError):
    """A case has too few annotated slices of a structure to start from."""


def guiding_slices(
    fractions: Volume, window: int, *, where: str = "annotated slices"
) -> dict[int, NDArray[np.float32]]:
    """The masks that guide a network: where an expert would annotate first.

    Those are the `window` neighbouring slices on which the least cross-section of the structure is largest.

    Parameters
    ----------
    fractions
        Parts of background and structure of each voxel, (2, z, y, x), 0 to 1; missing to 1 is unknown. An
        array, or what reads slices when it is asked.
    window
        Slices that the network starts from.
    where
        What to name where there are none.

    Returns
    -------
    By slice the structure's part of each voxel, (y, x).

    Raises
    ------
    NothingToPropagate
        No `window` neighbouring slices are annotated and show the structure.
    """
    known = np.array([fractions[:, index].sum() for index in range(fractions.shape[1])])
    annotated = enough_known(known)
    area = np.zeros(len(known))
    for index in np.flatnonzero(annotated):
        area[index] = _mask(fractions[:, index]).sum()
    runs = np.lib.stride_tricks.sliding_window_view(area, window) if len(area) >= window else area[:0]
    least = runs.min(axis=1) if len(runs) else np.zeros(1)
    if not least.max() > 0:
        raise NothingToPropagate(
            where,
            f"{int((area > 0).sum())} slices of the network that show it, no {window} of them neighbours",
            f"{window} neighbouring slices with the structure, at the network's spacing along the limb",
            "outline it on slices so far apart as the network's slices (model.json, spacing_mm), best where "
            "it is thick",
        )
    first = int(least.argmax())
    return {index: _mask(fractions[:, index]) for index in range(first, first + window)}


def _mask(fractions: Floats) -> NDArray[np.float32]:
    held = torch.from_numpy(np.array(fractions, dtype=np.float32))
    part: NDArray[np.float32] = part_of_known(held[:, None])[0].numpy()
    return part
