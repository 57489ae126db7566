from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

import numpy as np
from myosweep.io.files import read_json, write_json
from myosweep.io.volumes import read_grid, read_transform, read_volume, write_volume
from myosweep.labels.reading import read_annotated_sweeps, unknown_acquisition
from myosweep.labels.volumes import label_structures

inputs, params, output = snakemake.input, snakemake.params, snakemake.output
grid = read_grid(inputs.base)
registration = read_json(inputs.registration) if inputs.registration else {"accepted": True}
if registration["accepted"]:
    made = label_structures(
        read_annotated_sweeps(params.sweeps, params.structures, params.world, params.recordings),
        grid,
        read_transform(inputs.transform) if inputs.transform else np.eye(4),
        params.structures,
        snakemake.wildcards.method,
        params.image_area,
        ends=params.ends,
        image=read_volume(inputs.image) if inputs.image else None,
    )
else:
    made = unknown_acquisition(params.sweeps, grid, params.structures, registration["reason"])
write_volume(output.fractions, made.fractions)
write_volume(output.disagreement, made.disagreement)
write_json(output.summary, made.summaries)
