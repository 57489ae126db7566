rule compound:
    input:
        recordings=recordings_of_case,
        maps=frame_maps_for_blending,
    output:
        volume="results/compound/{case}/{acquisition}.mha",
        summary="results/compound/{case}/{acquisition}.json",
        coverage="results/coverage/{case}/{acquisition}.mha",
    log:
        "results/logs/compound/{case}/{acquisition}.log",
    benchmark:
        "results/benchmarks/compound/{case}/{acquisition}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(2)
    resources:
        mem_mb=compounding_megabytes,
    params:
        sweeps=lambda wildcards: recordings_in(rows_of(wildcards)),
        base_sweeps=lambda wildcards: recordings_in(TABLES.sweeps[wildcards.case][base_of(wildcards.case)]),
        case_sweeps=lambda wildcards: recordings_in(case_rows(wildcards)),
        images=images_of_case,
        world=SETTINGS["world"],
        recordings=SETTINGS["recordings"],
        settings=SETTINGS["compounding"],
        code=code_of("compound"),
    message:
        "Compounding acquisition {wildcards.acquisition} of case {wildcards.case}"
    script:
        "../scripts/compound.py"
