from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from pathlib import Path

from myosweep.phantom import simulate_case

simulate_case(
    Path(snakemake.output.truth).parent,
    snakemake.wildcards.case,
    snakemake.params.side,
    snakemake.params.settings,
    snakemake.params.seed,
)
