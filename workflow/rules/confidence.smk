rule map_frames:
    input:
        recordings_of_acquisition,
    output:
        "results/confidence/{case}/{acquisition}.frames.npz",
    log:
        "results/logs/map_frames/{case}/{acquisition}.log",
    benchmark:
        "results/benchmarks/map_frames/{case}/{acquisition}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(2)
    resources:
        mem_mb=megabytes(1500, 5),
    params:
        sweeps=lambda wildcards: recordings_in(rows_of(wildcards)),
        images=images_of_acquisition,
        world=SETTINGS["world"],
        recordings=SETTINGS["recordings"],
        image_area=SETTINGS["compounding"]["image_area"],
        options=CONFIDENCE,
        code=code_of("map_frames"),
    message:
        "Mapping the confidence of the frames of acquisition {wildcards.acquisition} of case {wildcards.case}"
    script:
        "../scripts/map_frames.py"


rule map_confidence:
    input:
        volume="results/compound/{case}/{acquisition}.mha",
        coverage=[] if ON_FRAMES else "results/coverage/{case}/{acquisition}.mha",
        maps="results/confidence/{case}/{acquisition}.frames.npz" if ON_FRAMES else [],
        recordings=recordings_of_acquisition if ON_FRAMES else [],
    output:
        "results/confidence/{case}/{acquisition}.mha",
    log:
        "results/logs/map_confidence/{case}/{acquisition}.log",
    benchmark:
        "results/benchmarks/map_confidence/{case}/{acquisition}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(2)
    resources:
        mem_mb=compounding_megabytes if ON_FRAMES else 800,
    params:
        options=None if ON_FRAMES else CONFIDENCE,
        frames=frames_of_acquisition if ON_FRAMES else None,
        code=code_of("map_confidence"),
    message:
        "Mapping the confidence of acquisition {wildcards.acquisition} of case {wildcards.case}"
    script:
        "../scripts/map_confidence.py"
