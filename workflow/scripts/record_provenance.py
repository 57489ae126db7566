from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule)

from myosweep.io.files import write_json
from myosweep.provenance import provenance

write_json(snakemake.output[0], provenance(snakemake.params.settings, snakemake.input))
