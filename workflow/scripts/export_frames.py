from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from pathlib import Path

import numpy as np
from myosweep.io.volumes import read_transform, read_volume
from myosweep.labels.annotation_kit import write_kit
from myosweep.labels.disputed import Dispute

params, inputs = snakemake.params, snakemake.input
dispute = None
if inputs.disagreement:
    dispute = Dispute(
        read_volume(inputs.disagreement),
        read_transform(inputs.transform) if inputs.transform else np.eye(4),
        params.most_frames,
    )
write_kit(
    Path(snakemake.output[0]).parent,
    params.sweeps[0],
    params.structures,
    params.every_mm,
    params.world,
    params.recordings,
    dispute,
)
