from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from myosweep.compounding import case_grid, compound
from myosweep.io.files import write_json
from myosweep.io.recordings import read_sweeps
from myosweep.io.volumes import write_volume

world, options, settings = snakemake.params.world, snakemake.params.recordings, snakemake.params.settings
area = settings["image_area"]
grid = case_grid(
    read_sweeps(snakemake.params.case_sweeps, world, options),
    settings["axes"],
    settings["spacing_mm"],
    area,
    read_sweeps(snakemake.params.base_sweeps, world, options),
)
volume, coverage, summary = compound(
    read_sweeps(snakemake.params.sweeps, world, options),
    grid,
    image_area=area,
    threads=2,
    **{name: value for name, value in settings.items() if name not in ("axes", "spacing_mm", "image_area")},
)
write_volume(snakemake.output.volume, volume)
write_volume(snakemake.output.coverage, coverage)
write_json(snakemake.output.summary, summary)
