rule export_frames:
    input:
        recordings=recordings_of_acquisition,
        masks=simulated_masks,
        disagreement=disputed_file("results/disagreement/{method}/{case}/{acquisition}.mha"),
        transform=disputed_file(registration_of(".tfm")),
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
        mem_mb=kit_megabytes,
    params:
        sweeps=lambda wildcards: described(rows_of(wildcards)),
        images=images_of_acquisition,
        masks=masks_digest,
        every_mm=SETTINGS["annotation_kit"]["every_mm"],
        most_frames=SETTINGS["annotation_kit"]["most_frames"],
        structures=SETTINGS["structures"],
        world=SETTINGS["world"],
        recordings=SETTINGS["recordings"],
        code=code_of("export_frames"),
    message:
        "Exporting frames to outline of sweep {wildcards.sweep}, acquisition {wildcards.acquisition}, case {wildcards.case}"
    script:
        "../scripts/export_frames.py"
