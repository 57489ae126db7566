rule export_frames:
    input:
        recordings=recordings_of_acquisition,
        masks=simulated_masks,
    output:
        # Images and masks are no outputs: Snakemake would remove them, and what was drawn, before each run.
        "results/annotation_kit/{case}/{acquisition}/{sweep}/README.txt",
    log:
        "results/logs/export_frames/{case}/{acquisition}/{sweep}.log",
    benchmark:
        "results/benchmarks/export_frames/{case}/{acquisition}/{sweep}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(1)
    resources:
        mem_mb=megabytes(600),
    params:
        sweeps=lambda wildcards: described(rows_of(wildcards)),
        images=images_of_acquisition,
        masks=masks_digest,
        every_mm=SETTINGS["annotation_kit"]["every_mm"],
        structures=SETTINGS["structures"],
        world=SETTINGS["world"],
        recordings=SETTINGS["recordings"],
        code=code_of("export_frames"),
    message:
        "Exporting frames to outline of sweep {wildcards.sweep}, acquisition {wildcards.acquisition}, case {wildcards.case}"
    script:
        "../scripts/export_frames.py"
