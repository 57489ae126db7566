from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from myosweep.io.files import read_json, write_json
from myosweep.io.volumes import read_grid, read_volume, write_volume
from myosweep.labels.fractions import read_fractions
from myosweep.labels.merging import merge_labels

labels, summary = merge_labels(
    [read_fractions(path) for path in snakemake.input.fractions],
    [read_json(path) for path in snakemake.input.summaries],
    read_grid(snakemake.input.base),
    snakemake.params.structures,
    smoothing_voxels=snakemake.params.smoothing_voxels,
    smooth_3d=snakemake.params.smooth_3d,
    interpolation=snakemake.wildcards.method,
    hand=read_volume(snakemake.input.hand[0]) if snakemake.input.hand else None,
)
write_volume(snakemake.output.labels, labels)
write_json(snakemake.output.summary, summary)
