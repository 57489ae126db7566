from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from myosweep.io.files import write_json
from myosweep.io.volumes import read_volume, write_transform
from myosweep.registration import register

result = register(
    read_volume(snakemake.input.base),
    read_volume(snakemake.input.base_coverage),
    read_volume(snakemake.input.other),
    read_volume(snakemake.input.other_coverage),
    method=snakemake.params.method,
    spacing_mm=snakemake.params.spacing_mm,
    seed=snakemake.params.seed,
)
write_transform(snakemake.output.transform, result.fixed_to_moving)
write_json(
    snakemake.output.measures,
    {"accepted": result.accepted, "reason": result.reason, "measures": result.measures},
)
