from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from myosweep.confidence import ConfidenceOptions
from myosweep.confidence.frames import write_maps_of_frames
from myosweep.io.recordings import read_sweeps

params = snakemake.params
write_maps_of_frames(
    snakemake.output[0],
    read_sweeps(params.sweeps, params.world, params.recordings),
    ConfidenceOptions(**params.options),
    image_area=params.image_area,
    threads=2,
)
