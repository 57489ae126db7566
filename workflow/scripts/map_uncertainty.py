from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from pathlib import Path

import numpy as np
from myosweep.io.volumes import write_planes
from myosweep.training.inference import segmented
from myosweep.training.inference_settings import InferenceSettings
from myosweep.training.model import check_models

inputs, params, output = snakemake.input, snakemake.params, snakemake.output[0]
folders = list(dict.fromkeys(Path(file).parent for file in inputs.model))
check_models(folders, params.structures, params.channels)
settings = InferenceSettings(**params.inference)
limb = inputs.image, inputs.confidence or None, params.side, inputs.guide or None
with segmented(folders, *limb, settings, folder=Path(output).parent) as found:
    write_planes(output, found.grid, np.dtype(np.uint8), found.entropies())
