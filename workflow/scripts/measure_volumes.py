from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule)

from myosweep.cohort import read_results, volume_rows, write_metrics, write_volumes
from myosweep.io.screens import read_excluded
from myosweep.io.tables import Case

params = snakemake.params
rows = volume_rows(
    [Case(**case) for case in params.cases],
    params.structures,
    params.sources,
    read_results(snakemake.input.evaluations, snakemake.input.summaries),
    read_excluded(snakemake.input.excluded),
    params.models,
)
write_volumes(snakemake.output.volumes, rows, params.extra_columns)
write_metrics(snakemake.output.metrics, snakemake.input.evaluations)
