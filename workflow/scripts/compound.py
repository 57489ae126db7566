from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from myosweep.compounding import case_grid, compound
from myosweep.io.files import write_json
from myosweep.io.frame_maps import read_frame_maps
from myosweep.io.recordings import read_sweeps
from myosweep.io.volumes import write_volume

params = snakemake.params
settings = dict(params.settings)
area, axes, spacing = (settings.pop(name) for name in ("image_area", "axes", "spacing_mm"))
# Each recording is read once: compressed frames are unpacked, and an estimated offset of time takes them all.
case = read_sweeps(params.case_sweeps, params.world, params.recordings)
rows = (params.sweeps, params.base_sweeps)
own, base = ([case[params.case_sweeps.index(row)] for row in some] for some in rows)
grid = case_grid(case, axes, spacing, area, base)
del case, base
maps = read_frame_maps(snakemake.input.maps, len(own)) if snakemake.input.maps else None
volume, coverage, summary = compound(own, grid, image_area=area, confidence=maps, threads=2, **settings)
write_volume(snakemake.output.volume, volume)
write_volume(snakemake.output.coverage, coverage)
write_json(snakemake.output.summary, summary)
