rule gather_study:
    input:
        models=lambda wildcards: expand(
            "results/train/{training}/{file}",
            training=trainings_of_study(wildcards),
            file=["model.json", "weights.safetensors"],
        ),
        evaluations=evaluations_of_study,
    output:
        "results/{study}.csv",
    log:
        "results/logs/gather_study/{study}.log",
    benchmark:
        "results/benchmarks/gather_study/{study}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(1)
    resources:
        mem_mb=megabytes(400),
    params:
        members=members_of_study,
        examples=examples_of_study,
        code=code_of("gather_study"),
    message:
        "Gathering the study {wildcards.study}"
    script:
        "../scripts/gather_study.py"
