from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from myosweep.confidence import ConfidenceOptions, confidence_volume
from myosweep.io.volumes import read_volume, write_volume

params = snakemake.params
options = ConfidenceOptions(
    method=params.method,
    alpha=params.alpha,
    beta=params.beta,
    gamma=params.gamma,
    sink=params.sink,
    normalisation=params.normalisation,
    white=params.white,
    bottom=params.bottom,
)
volume = read_volume(snakemake.input.volume)
coverage = read_volume(snakemake.input.coverage)
write_volume(snakemake.output[0], confidence_volume(volume, coverage, options))
