from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule)

from myosweep.io.files import read_json
from myosweep.io.screens import write_screens

write_screens(
    [read_json(path) for path in snakemake.input.screens],
    snakemake.params.excluded,
    snakemake.output.screen,
    snakemake.output.excluded,
)
