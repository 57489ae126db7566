"""A frame of a real bone, its confidence map, and two sections of the compounded map, for README.

    python benchmarks/confidence_pictures.py ../shared/data/plus docs

The first folder holds PlusLib's sequences/ and configs/. Writes confidence.png.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from myosweep.compounding import MAP_LEVELS, case_grid, compound, compound_maps, image_area_of
from myosweep.confidence.frames import write_maps_of_frames
from myosweep.geometry import apply_transform
from myosweep.io.frame_maps import read_frame_maps
from myosweep.io.recordings import read_sweep

RECORDING, CONFIG = "BoneUltrasound_L14.igs.mha", "BoneUltrasound_L14_config.xml"
SPACING_MM = 0.25
COLOURS = "viridis"


def bar(axis: plt.Axes, rows: int, pixel_mm: float, colour: str = "white") -> None:
    axis.plot([12, 12 + 10 / pixel_mm], [rows - 14] * 2, color=colour, linewidth=2)
    axis.text(12, rows - 22, "10 mm", color=colour, fontsize=7)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plus", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--frame", type=int, default=10, help="of the sequence, from 0")
    chosen = parser.parse_args()
    sweep = read_sweep(chosen.plus / "sequences" / RECORDING, chosen.plus / "configs" / CONFIG)
    grid = case_grid([sweep], "probe", SPACING_MM, "auto")
    _, coverage, _ = compound([sweep], grid, threads=2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "maps.npz"
        write_maps_of_frames(path, [sweep], threads=2)
        (maps,) = read_frame_maps(path, 1)
        compounded = compound_maps([sweep], [maps], grid, threads=2) / MAP_LEVELS
        shown = maps[chosen.frame]
    compounded[coverage.array == 0] = np.nan
    area = image_area_of(sweep, "auto").rectangle
    part = np.s_[area.row : area.row + area.rows, area.column : area.column + area.columns]
    middle = (area.column + area.columns / 2, area.row + area.rows / 2, 0)
    index = apply_transform(grid.world_to_index @ sweep.image_to_world[chosen.frame], middle)
    x, z = round(float(index[0])), round(float(index[2]))
    images = [sweep.frames[chosen.frame][part], shown[part], compounded[z], compounded[:, :, x].T]
    titles = ["a frame", "its confidence", "compounded confidence, same place", "along the sweep"]
    sizes = [sweep.pixel_spacing[0]] * 2 + [SPACING_MM] * 2
    widths = [image.shape[1] * size for image, size in zip(images, sizes, strict=True)]
    heights = [image.shape[0] * size for image, size in zip(images, sizes, strict=True)]
    width = 10.0
    height = max(heights) / (sum(widths) * 1.06) * width + 0.35
    figure, axes = plt.subplots(
        1, 5, figsize=(width, height), dpi=110, width_ratios=[*widths, 0.02 * sum(widths)]
    )
    for axis, image, title, size, colours in zip(
        axes, images, titles, sizes, ["gray", *[COLOURS] * 3], strict=False
    ):
        drawn = axis.imshow(
            image, cmap=colours, vmin=0, vmax=255 if colours == "gray" else 1, interpolation="nearest"
        )
        axis.set_title(title, fontsize=8)
        if axis is axes[0]:
            bar(axis, image.shape[0], size)
        axis.set_anchor("N")
        axis.axis("off")
    figure.colorbar(drawn, cax=axes[-1])
    axes[-1].tick_params(labelsize=7)
    figure.subplots_adjust(0.005, 0.02, 0.965, 1 - 0.3 / height, 0.03)
    figure.savefig(chosen.output / "confidence.png")
    print(f"{chosen.output / 'confidence.png'}: frame {chosen.frame} of {sweep.frames.shape}, {grid.size}")


if __name__ == "__main__":
    main()
