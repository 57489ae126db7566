from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from pathlib import Path

from myosweep.figures.case import draw_case
from myosweep.io.volumes import read_volume

labels = zip(snakemake.params.sources, snakemake.input.labels, strict=True)
draw_case(
    snakemake.wildcards.case,
    read_volume(snakemake.input.image),
    read_volume(snakemake.input.coverage),
    {source: read_volume(path) for source, path in labels},
    read_volume(snakemake.input.reference[0]) if snakemake.input.reference else None,
    snakemake.params.structures,
    Path(snakemake.output[0]).parent,
    confidence=read_volume(snakemake.input.confidence) if snakemake.input.confidence else None,
    main=snakemake.params.main,
    axes=snakemake.params.axes,
)
