from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule)

from myosweep.io.label_names import write_itk_snap_labels, write_slicer_colours

write_itk_snap_labels(snakemake.output.itk_snap, snakemake.params.structures)
write_slicer_colours(snakemake.output.slicer, snakemake.params.structures)
