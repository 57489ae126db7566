from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from myosweep.io.files import write_json
from myosweep.io.volumes import write_transform
from myosweep.registration import register, shrink

inputs, params = snakemake.input, snakemake.params
result = register(
    shrink(inputs.base, inputs.base_coverage, params.spacing_mm),
    shrink(inputs.other, inputs.other_coverage, params.spacing_mm),
    method=params.method,
    engine=params.engine,
    seed=params.seed,
    names=(params.base, snakemake.wildcards.acquisition),
)
write_transform(snakemake.output.transform, result.fixed_to_moving)
write_json(
    snakemake.output.measures,
    {"accepted": result.accepted, "reason": result.reason, "measures": result.measures},
)
