from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule)

from pathlib import Path

from myosweep.io.files import read_json
from myosweep.io.volumes import read_volume
from myosweep.metrics.comparison import compare, write_comparison

params = snakemake.params
table = compare(
    [read_json(path) for path in snakemake.input.descriptions],
    params.settings["interpolation"],
    params.settings["every_frames"],
    params.settings["wobble_mm"],
    params.settings["spacing_mm"],
    {(path.parent.name, path.stem): read_volume(path) for path in map(Path, snakemake.input.images)},
    smoothing_voxels=params.smoothing_voxels,
    smoothing=params.smoothing,
    smooth_3d=params.smooth_3d,
    ends=params.ends,
)
write_comparison(snakemake.output[0], table)
