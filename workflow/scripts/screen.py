from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from myosweep.io.files import write_json
from myosweep.screening import screen_case

params = snakemake.params
result = screen_case(
    snakemake.wildcards.case,
    params.sweeps,
    params.structures,
    params.world,
    snakemake.input.volumes,
    params.compounding,
    params.base,
    params.recordings,
)
write_json(snakemake.output[0], result)
