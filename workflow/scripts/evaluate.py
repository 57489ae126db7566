from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from myosweep.io.files import whole_file
from myosweep.io.volumes import read_volume
from myosweep.metrics.evaluate import evaluate

rows = evaluate(
    read_volume(snakemake.input.labels),
    read_volume(snakemake.input.reference[0]) if snakemake.input.reference else None,
    snakemake.params.structures,
    read_volume(snakemake.input.image),
    read_volume(snakemake.input.coverage),
)
with whole_file(snakemake.output[0]) as path:
    rows.to_csv(path, index=False, lineterminator="\n")
