rule screen:
    input:
        recordings=recordings_of_case,
        masks=simulated_masks,
        volumes=lambda wildcards: given_labels(wildcards.case) + reference_of(wildcards),
    output:
        "results/screen/{case}.json",
    log:
        "results/logs/screen/{case}.log",
    benchmark:
        "results/benchmarks/screen/{case}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(1)
    resources:
        mem_mb=megabytes(400),
    params:
        sweeps=lambda wildcards: described(case_rows(wildcards)),
        images=images_of_case,
        masks=masks_digest,
        compounding=SETTINGS["compounding"],
        base=lambda wildcards: base_of(wildcards.case),
        structures=SETTINGS["structures"],
        world=SETTINGS["world"],
        recordings=SETTINGS["recordings"],
        code=code_of("screen"),
    message:
        "Screening headers, poses and annotations of case {wildcards.case}"
    script:
        "../scripts/screen.py"


checkpoint gather_screens:
    input:
        screens=expand("results/screen/{case}.json", case=TABLES.included),
    output:
        screen="results/screen.tsv",
        excluded="results/excluded.tsv",
    log:
        "results/logs/gather_screens.log",
    benchmark:
        "results/benchmarks/gather_screens.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(1)
    resources:
        mem_mb=megabytes(400),
    params:
        excluded={case: row.exclude for case, row in TABLES.cases.items() if row.exclude},
        code=code_of("gather_screens"),
    message:
        "Gathering which cases can be used"
    script:
        "../scripts/gather_screens.py"
