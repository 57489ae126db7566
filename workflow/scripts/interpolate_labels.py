from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

import numpy as np
from myosweep.io.files import read_json, write_json
from myosweep.io.volumes import read_grid, read_transform, write_volume
from myosweep.labels.reading import read_annotated_sweeps, unknown_acquisition
from myosweep.labels.volumes import label_acquisition

structures = snakemake.params.structures
grid = read_grid(snakemake.input.base)
registration = read_json(snakemake.input.registration) if snakemake.input.registration else {"accepted": True}
if registration["accepted"]:
    params = snakemake.params
    sweeps = read_annotated_sweeps(params.sweeps, structures, params.world, params.recordings)
    transform = read_transform(snakemake.input.transform) if snakemake.input.transform else np.eye(4)
    fractions, summary = label_acquisition(
        sweeps, grid, transform, structures, snakemake.wildcards.method, snakemake.params.image_area
    )
else:
    fractions, summary = unknown_acquisition(
        snakemake.params.sweeps, grid, structures, registration["reason"]
    )
write_volume(snakemake.output.fractions, fractions)
write_json(snakemake.output.summary, summary)
