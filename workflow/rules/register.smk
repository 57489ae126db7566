rule register:
    input:
        base=base_file("compound"),
        base_coverage=base_file("coverage"),
        other="results/compound/{case}/{acquisition}.mha",
        other_coverage="results/coverage/{case}/{acquisition}.mha",
    output:
        transform="results/register/{case}/{acquisition}.tfm",
        measures="results/register/{case}/{acquisition}.json",
    log:
        "results/logs/register/{case}/{acquisition}.log",
    benchmark:
        "results/benchmarks/register/{case}/{acquisition}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(1)
    resources:
        mem_mb=megabytes(1500, 20 if SETTINGS["registration"]["engine"] == "elastix" else 1.8),
    params:
        method=SETTINGS["registration"]["method"],
        engine=SETTINGS["registration"]["engine"],
        spacing_mm=SETTINGS["registration"]["spacing_mm"],
        seed=SETTINGS["seed"],
        base=lambda wildcards: base_of(wildcards.case),
        code=code_of("register"),
    message:
        "Registering acquisition {wildcards.acquisition} of case {wildcards.case} to its base acquisition"
    script:
        "../scripts/register.py"
