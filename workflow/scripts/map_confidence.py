from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from myosweep.confidence import ConfidenceOptions, confidence_volume
from myosweep.io.volumes import read_volume, write_volume

volume = read_volume(snakemake.input.volume)
coverage = read_volume(snakemake.input.coverage)
options = ConfidenceOptions(**snakemake.params.options)
write_volume(snakemake.output[0], confidence_volume(volume, coverage, options))
