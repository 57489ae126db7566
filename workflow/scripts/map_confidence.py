from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from myosweep.confidence import ConfidenceOptions
from myosweep.confidence.frames import write_compounded_maps
from myosweep.confidence.slices import write_maps_of_slices
from myosweep.io.frame_maps import read_frame_maps
from myosweep.io.recordings import read_sweeps
from myosweep.io.volumes import read_grid

output, volume, frames = snakemake.output[0], snakemake.input.volume, snakemake.params.frames
if frames:
    sweeps = read_sweeps(frames["sweeps"], frames["world"], frames["recordings"])
    maps = read_frame_maps(snakemake.input.maps, len(sweeps))
    write_compounded_maps(output, sweeps, maps, read_grid(volume), threads=2, **frames["compounding"])
else:
    options = ConfidenceOptions(**snakemake.params.options)
    write_maps_of_slices(output, volume, snakemake.input.coverage, options, threads=2)
