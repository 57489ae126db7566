from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from myosweep.io.files import write_json
from myosweep.screening import screen_case

result = screen_case(
    snakemake.wildcards.case, snakemake.params.sweeps, snakemake.params.structures, snakemake.params.world
)
write_json(snakemake.output[0], result)
