from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from pathlib import Path

from myosweep.figures.case import draw_case
from myosweep.io.segmentations import read_labels
from myosweep.io.volumes import read_volume

params = snakemake.params
reference = None
if snakemake.input.reference:
    reference = read_labels(snakemake.input.reference[0], params.structures, params.names)
labels = zip(params.sources, snakemake.input.labels, strict=True)
draw_case(
    snakemake.wildcards.case,
    read_volume(snakemake.input.image),
    read_volume(snakemake.input.coverage),
    {source: read_volume(path) for source, path in labels},
    reference,
    params.structures,
    Path(snakemake.output[0]).parent,
    confidence=read_volume(snakemake.input.confidence) if snakemake.input.confidence else None,
    main=params.main,
    axes=params.axes,
)
