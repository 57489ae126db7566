rule evaluate:
    input:
        labels=lambda wildcards: measured_file(wildcards.case, wildcards.source),
        reference=reference_of,
        image=base_file("compound"),
        coverage=base_file("coverage"),
    output:
        "results/evaluate/{source}/{case}.csv",
    log:
        "results/logs/evaluate/{source}/{case}.log",
    benchmark:
        "results/benchmarks/evaluate/{source}/{case}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(1)
    resources:
        mem_mb=megabytes_by_voxels(800, 13),
    params:
        structures=lambda wildcards: structures_of(wildcards.source),
        names=segment_names,
        code=code_of("evaluate"),
    message:
        "Measuring {wildcards.source} of case {wildcards.case}"
    script:
        "../scripts/evaluate.py"


rule measure_volumes:
    input:
        evaluations=for_usable("results/evaluate/{source}/{case}.csv", source=sources_of),
        summaries=for_usable(
            "results/labels/{method}/{case}.json",
            method=lambda case: METHODS if is_labelled(case) else [],
        ),
        excluded="results/excluded.tsv",
    output:
        volumes="results/volumes.csv",
        metrics="results/metrics.csv",
    log:
        "results/logs/measure_volumes.log",
    benchmark:
        "results/benchmarks/measure_volumes.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(1)
    resources:
        mem_mb=megabytes(600),
    params:
        cases=[asdict(replace(row, split=tested_split(row))) for row in TABLES.cases.values()],
        structures=list(SETTINGS["structures"]),
        sources=[f"labels_{method}" for method in METHODS] + list(MODELS),
        models=lambda wildcards: {model: learned_elsewhere(model) for model in MODELS},
        extra_columns=list(TABLES.extra_columns),
        code=code_of("measure_volumes"),
    message:
        "Gathering volumes and metrics of all cases"
    script:
        "../scripts/measure_volumes.py"
