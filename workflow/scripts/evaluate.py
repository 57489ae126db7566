from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from myosweep.io.files import whole_file
from myosweep.io.segmentations import read_labels
from myosweep.io.volumes import read_volume
from myosweep.metrics.evaluate import evaluate

structures = snakemake.params.structures
reference = None
if snakemake.input.reference:
    reference = read_labels(snakemake.input.reference[0], structures, snakemake.params.names)
rows = evaluate(
    read_volume(snakemake.input.labels),
    reference,
    structures,
    read_volume(snakemake.input.image),
    read_volume(snakemake.input.coverage),
)
with whole_file(snakemake.output[0]) as path:
    rows.to_csv(path, index=False, lineterminator="\n")
