from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from myosweep.io.files import read_json, write_json
from myosweep.io.made_files import made_file
from myosweep.io.volumes import read_grid, write_volume
from myosweep.labels.fractions import read_fractions
from myosweep.labels.hand import read_drawn_labels
from myosweep.labels.merging import merge_labels

params = snakemake.params
grid = read_grid(snakemake.input.base)
hand = None
if snakemake.input.hand:
    hand = read_drawn_labels(snakemake.input.hand[0], grid, params.structures, params.names)
labels, summary = merge_labels(
    [read_fractions(path) for path in snakemake.input.fractions],
    [read_json(path) for path in snakemake.input.summaries],
    grid,
    params.structures,
    smoothing_voxels=params.smoothing_voxels,
    smoothing=params.smoothing,
    smooth_3d=params.smooth_3d,
    interpolation=snakemake.wildcards.method,
    ends=params.ends,
    hand=hand,
)
with made_file(snakemake.output.labels):
    write_volume(snakemake.output.labels, labels)
write_json(snakemake.output.summary, summary)
