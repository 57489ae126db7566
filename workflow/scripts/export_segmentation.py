from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from myosweep.io.made_files import made_file
from myosweep.io.segmentations import write_segmentation
from myosweep.io.volumes import read_volume

with made_file(snakemake.output[0]):
    write_segmentation(snakemake.output[0], read_volume(snakemake.input[0]), snakemake.params.structures)
