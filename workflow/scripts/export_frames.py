from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from pathlib import Path

from myosweep.labels.annotation_kit import write_kit

params = snakemake.params
write_kit(
    Path(snakemake.output[0]).parent,
    params.sweeps[0],
    params.structures,
    params.every_mm,
    params.world,
    params.recordings,
)
