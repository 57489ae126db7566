rule map_confidence:
    input:
        volume="results/compound/{case}/{acquisition}.mha",
        coverage="results/coverage/{case}/{acquisition}.mha",
    output:
        "results/confidence/{case}/{acquisition}.mha",
    log:
        "results/logs/map_confidence/{case}/{acquisition}.log",
    benchmark:
        "results/benchmarks/map_confidence/{case}/{acquisition}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(1)
    resources:
        mem_mb=megabytes(800, 20),
    params:
        method=SETTINGS["confidence"]["method"],
        alpha=SETTINGS["confidence"]["alpha"],
        beta=SETTINGS["confidence"]["beta"],
        gamma=SETTINGS["confidence"]["gamma"],
        sink=SETTINGS["confidence"]["sink"],
        normalisation=SETTINGS["confidence"]["normalisation"],
        white=SETTINGS["confidence"]["white"],
        bottom=SETTINGS["confidence"]["bottom"],
        code=code_of("map_confidence"),
    message:
        "Mapping the confidence of acquisition {wildcards.acquisition} of case {wildcards.case}"
    script:
        "../scripts/map_confidence.py"
