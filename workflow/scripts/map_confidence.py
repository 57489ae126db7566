from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from myosweep.confidence import confidence_volume
from myosweep.io.volumes import read_volume, write_volume

confidence = confidence_volume(
    read_volume(snakemake.input.volume),
    read_volume(snakemake.input.coverage),
    alpha=snakemake.params.alpha,
    beta=snakemake.params.beta,
    gamma=snakemake.params.gamma,
)
write_volume(snakemake.output[0], confidence)
