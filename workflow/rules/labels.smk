rule interpolate_labels:
    input:
        recordings=recordings_of_acquisition,
        masks=simulated_masks,
        base=base_file("compound"),
        transform=registration_of(".tfm"),
        registration=registration_of(".json"),
        image=image_for_labels,
    output:
        fractions="results/labels/{method}/{case}/{acquisition}.mha",
        summary="results/labels/{method}/{case}/{acquisition}.json",
        disagreement="results/disagreement/{method}/{case}/{acquisition}.mha",
    log:
        "results/logs/interpolate_labels/{method}/{case}/{acquisition}.log",
    benchmark:
        "results/benchmarks/interpolate_labels/{method}/{case}/{acquisition}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(1)
    resources:
        mem_mb=megabytes_by_voxels(800, 18),
    params:
        sweeps=lambda wildcards: described(rows_of(wildcards)),
        images=images_of_acquisition,
        masks=masks_digest,
        structures=SETTINGS["structures"],
        world=SETTINGS["world"],
        recordings=SETTINGS["recordings"],
        image_area=SETTINGS["compounding"]["image_area"],
        ends=SETTINGS["labels"]["ends"],
        code=code_of("interpolate_labels"),
    message:
        "Interpolating the labels ({wildcards.method}) of acquisition {wildcards.acquisition} of case {wildcards.case}"
    script:
        "../scripts/interpolate_labels.py"


rule merge_labels:
    input:
        fractions=fractions_of(".mha"),
        summaries=fractions_of(".json"),
        base=base_file("compound"),
        base_coverage=base_file("coverage"),
        hand=lambda wildcards: given_labels(wildcards.case),
    output:
        labels="results/labels/{method}/{case}.mha",
        summary="results/labels/{method}/{case}.json",
    log:
        "results/logs/merge_labels/{method}/{case}.log",
    benchmark:
        "results/benchmarks/merge_labels/{method}/{case}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(1)
    resources:
        mem_mb=megabytes_by_voxels(600, 10),
    params:
        structures=SETTINGS["structures"],
        smoothing_voxels=SETTINGS["labels"]["smoothing_voxels"],
        smoothing=SETTINGS["labels"]["smoothing"],
        smooth_3d=SETTINGS["labels"]["smooth_3d"],
        ends=SETTINGS["labels"]["ends"],
        names=segment_names,
        code=code_of("merge_labels"),
    message:
        "Merging the labels ({wildcards.method}) of case {wildcards.case}"
    script:
        "../scripts/merge_labels.py"


rule export_segmentation:
    input:
        "results/{stage}/{source}/{case}.mha",
    output:
        "results/{stage}/{source}/{case}.seg.nrrd",
    log:
        "results/logs/export_segmentation/{stage}/{source}/{case}.log",
    benchmark:
        "results/benchmarks/export_segmentation/{stage}/{source}/{case}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(1)
    resources:
        mem_mb=megabytes_by_voxels(500, 5),
    params:
        structures=SETTINGS["structures"],
        code=code_of("export_segmentation", "resources/colours.json"),
    message:
        "Writing the segmentation of case {wildcards.case} ({wildcards.stage}, {wildcards.source}) for 3D Slicer"
    script:
        "../scripts/export_segmentation.py"


rule name_labels:
    output:
        itk_snap="results/labels/labels.txt",
        slicer="results/labels/labels.ctbl",
    log:
        "results/logs/name_labels.log",
    benchmark:
        "results/benchmarks/name_labels.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(1)
    resources:
        mem_mb=megabytes(300),
    params:
        structures=SETTINGS["structures"],
        code=code_of("name_labels", "resources/colours.json"),
    message:
        "Writing names and colours of label values for ITK-SNAP and 3D Slicer"
    script:
        "../scripts/name_labels.py"
