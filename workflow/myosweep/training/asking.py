"""The mean of what networks say of a limb, from all their passes, in a file of slices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from myosweep.errors import InputError
from myosweep.memory import check_memory, exhaustion_explained
from myosweep.networks import is_guided, sizes_of
from myosweep.networks.sizes import Sizes
from myosweep.progress import track
from myosweep.training.device import autocast, lay_out, set_up_torch
from myosweep.training.fields import (
    Part,
    Place,
    Turned,
    field_corner,
    field_shape,
    guided_box,
    margin_of,
    put_back,
)
from myosweep.training.inference_settings import InferenceSettings, passes_of, passing
from myosweep.training.lattice import Floats, Lattice
from myosweep.training.model import Description, load_model
from myosweep.training.near import far_slices
from myosweep.training.prepared import Prepared, Source, prepare, prepare_guide
from myosweep.training.slice_files import SliceFile
from myosweep.training.slicewise import probability_slices, slices_in_memory


@dataclass(frozen=True)
class Limb:
    """A limb that is to be segmented.

    Attributes
    ----------
    image, confidence, guide
        Volumes or their files, on one grid; see `inference.segmented`.
    side
        `left`, `right` or empty.
    files
        What closes temporary files.
    folder
        Where these lie.
    """

    image: Source
    confidence: Source | None
    guide: Source | None
    side: str
    files: ExitStack
    folder: str | Path | None


def spacing_of(description: Description) -> tuple[float, float, float]:
    """A network's voxels along (x, y, z), mm."""
    x, y, z = description.spacing_mm
    return x, y, z


def prepared_for(description: Description, limb: Limb, lattice: Lattice) -> Prepared:
    """What a network sees of a limb; see `prepared.prepare`."""
    return prepare(
        limb.image, limb.confidence, limb.side, description.channels, lattice, limb.files, limb.folder
    )


def mean_probabilities(
    folders: Sequence[str | Path],
    limb: Limb,
    lattice: Lattice,
    prepared: Prepared,
    settings: InferenceSettings,
    reach_mm: float,
) -> SliceFile:
    """The mean of the probabilities (class, z, y, x) of all passes of networks of the same structures.

    Raises
    ------
    InputError
        What the networks need is missing, or they say what is no number.
    """
    sums: SliceFile | None = None
    count = 0
    for folder in folders:
        network, description = load_model(folder)
        if sums is None:
            shape = (len(description.structures) + 1, *lattice.shape)
            sums = limb.files.enter_context(SliceFile(shape, np.float32, limb.folder))
        asked = _Asked.of(folder, description, limb, lattice, prepared)
        device = set_up_torch(int(description.training_settings["threads"]))
        network = lay_out(network.to(device))
        ways = passes_of(settings, guided=is_guided(description.network))
        passes = len(ways) * len(folders)
        for one in ways:
            told = f"pass {count + 1}, " if passes > 1 else ""
            with (
                passing(network, one, description.seed, folder),
                exhaustion_explained(folder, asked.remedy),
                autocast(device, str(description.training_settings["precision"])),
            ):
                slices = probability_slices(
                    network,
                    description.network,
                    Turned(asked.channels) if one.turned else asked.channels,
                    device,
                    asked.fractions,
                    patch=asked.patch,
                    overlap=settings.overlap,
                )
                for z, scores in track(slices, asked.channels.shape[1], f"{told}slices segmented"):
                    place, plane = asked.on_limb(z, scores, turned=one.turned)
                    if 0 <= place < lattice.shape[0]:
                        sums.write(place, plane + sums.read(place) if count else plane)
            count += 1
    assert sums is not None
    spacing = spacing_of(description)[::-1]
    for z, far in enumerate(far_slices(prepared.known, lattice.shape, spacing, reach_mm)):
        scores = sums.read(z)
        if not np.isfinite(scores).all():
            raise InputError(
                folders[0], "probabilities that are not numbers", "numbers", "train the model again"
            )
        if count > 1:
            scores /= np.float32(count)
        if count > 1 or far.any():
            scores[:, far] = 0
            scores[0, far] = 1
            sums.write(z, scores)
    return sums


@dataclass(frozen=True)
class _Asked:
    """What a network is shown of a limb: a field that holds it, or what lies around the given masks."""

    channels: Part
    fractions: Part | None
    patch: tuple[int, int, int] | None
    corner: Place
    shape: tuple[int, int, int]
    remedy: str

    @classmethod
    def of(
        cls, folder: str | Path, description: Description, limb: Limb, lattice: Lattice, prepared: Prepared
    ) -> _Asked:
        spacing = spacing_of(description)
        name, own = description.network, description.network_settings
        given, box = None, None
        size: tuple[int, ...] = lattice.shape
        if is_guided(name):
            given = prepare_guide(
                limb.guide,
                limb.image,
                lattice,
                description.structures,
                limb.side,
                limb.files,
                limb.folder,
            )
            margin = margin_of(own)
            if margin:
                box = guided_box(given, int(own["window"]))
                size = field_shape(size, box, margin, spacing)
        patch = None if is_guided(name) else patch_of(description)
        field = (
            sizes_of(name, own).holding([size, description.shape])
            if patch is None
            else Sizes().holding([size, patch])
        )
        remedy = (
            f"segment where there is more memory (rule predict, resources mem_mb), or train with a larger "
            f"segmentation.{name}.spacing_mm"
        )
        at_a_time = (slices_in_memory(name, own, field[0], patch), *field[1:])
        check_memory(
            math.prod(at_a_time) * (4 * len(description.channels) + 8 * (len(description.structures) + 1)),
            folder,
            f"a volume of {' x '.join(map(str, at_a_time))} of the network's voxels of "
            f"{' x '.join(f'{edge:g}' for edge in spacing)} mm",
            remedy,
        )
        corner = field_corner(lattice.shape, box, field)
        position = spacing[0] if description.training_settings["position"] else None
        # As in training, a limb in windows is told its own middle, a whole one that of its padded volume.
        middle = None if patch is None else (lattice.shape[2] - 1) / 2 - corner[2]
        return cls(
            Part(prepared, corner, field, prepared.black, position, middle),
            None if given is None else Part(given, corner, field),
            patch,
            corner,
            lattice.shape,
            remedy,
        )

    def on_limb(self, z: int, scores: Floats, *, turned: bool) -> tuple[int, Floats]:
        """The limb's slice of a slice of the field, and probabilities on all of it; background around."""
        _, y, x = self.corner
        place = (self.channels.shape[1] - 1 - z if turned else z) + self.corner[0]
        whole = put_back(scores[:, None], (0, y, x), (1, *self.shape[1:]))
        return place, whole[:, 0]


def patch_of(description: Description) -> tuple[int, int, int] | None:
    """The window (z, y, x) that a network learned from; None for the whole limb."""
    patch = description.training_settings.get("patch")
    return None if patch is None else (int(patch[0]), int(patch[1]), int(patch[2]))
