"""Which volumes a network takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Sizes:
    """What a volume must have for a network to take it.

    Attributes
    ----------
    multiple
        What its numbers of voxels along (z, y, x) must be multiples of.
    least
        Voxels that the deepest maps, smaller by `multiple`, must have at least: two where a norm there takes
        the deviation of a map.
    """

    multiple: Shape = (1, 1, 1)
    least: int = 1

    def counts(self, shape: Sequence[int]) -> Shape:
        """Voxels along (z, y, x) of the deepest maps of `shape`, filled up to multiples."""
        z, y, x = (-(-edge // factor) for edge, factor in zip(shape, self.multiple, strict=True))
        return z, y, x

    def too_few(self, shape: Sequence[int]) -> bool:
        """Whether the deepest maps of a volume of so many voxels have fewer than they must."""
        return prod(self.counts(shape)) < self.least

    def holding(self, shapes: Sequence[Sequence[int]]) -> Shape:
        """The smallest shape (z, y, x) that the network takes and that holds all shapes.

        Where its deepest maps would have too few voxels it is made wider, along x.
        """
        largest = [max(edges) for edges in zip(*shapes, strict=True)]
        z, y, x = self.counts(largest)
        x = max(x, -(-self.least // (z * y)))
        return z * self.multiple[0], y * self.multiple[1], x * self.multiple[2]
