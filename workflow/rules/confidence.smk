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
        options={name: value for name, value in SETTINGS["confidence"].items() if name != "where"},
        code=code_of("map_confidence"),
    message:
        "Mapping the confidence of acquisition {wildcards.acquisition} of case {wildcards.case}"
    script:
        "../scripts/map_confidence.py"
