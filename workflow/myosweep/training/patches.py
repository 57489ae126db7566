"""Parts of a limb that a network is trained on where whole limbs are too large, or too few.

Half of them show a structure for certain, as nnU-Net (Isensee et al. 2021) has it for a third: muscles fill
less of a limb than what lies around them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from myosweep.training.fields import Place

SHARE_OF_STRUCTURES = 0.5


def draw_patch(target: NDArray[np.uint8], patch: Sequence[int], random: np.random.Generator) -> Place:
    """Draw where a patch lies in a limb.

    Half of the patches are centred on a voxel of a structure, as far as the limb reaches: first the structure
    is drawn among those that take most of any voxel, each as likely, then one of these voxels. The others,
    and all of a limb without structures, lie anywhere in it.

    Parameters
    ----------
    target
        Parts of the classes times 255, (class, z, y, x); class 0 is the background.
    patch
        Voxels along (z, y, x). Along an axis on which the limb is smaller it lies in the patch's middle.
    random
        What is drawn from, the same numbers of it wherever the patch will lie.

    Returns
    -------
    The patch's first voxel (z, y, x); below 0 where the patch begins before the limb.
    """
    of_structure = random.random() < SHARE_OF_STRUCTURES
    which, voxel, *places = random.random(5)
    shape = target.shape[1:]
    present = [index for index in range(1, len(target)) if (target[index] > 127).any()]
    corner = [
        int(place * (whole - edge + 1)) for place, whole, edge in zip(places, shape, patch, strict=True)
    ]
    if of_structure and present:
        inside = np.flatnonzero(target[present[int(which * len(present))]] > 127)
        centre = np.unravel_index(inside[int(voxel * len(inside))], shape)
        corner = [int(middle) - edge // 2 for middle, edge in zip(centre, patch, strict=True)]
    z, y, x = (
        min(max(start, 0), whole - edge) if whole > edge else -((edge - whole) // 2)
        for start, whole, edge in zip(corner, shape, patch, strict=True)
    )
    return z, y, x
