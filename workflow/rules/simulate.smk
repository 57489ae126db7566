if "simulate" in SETTINGS:
    ACQUISITIONS = ("deep", "superficial")

    rule simulate:
        output:
            recordings=expand(
                "results/simulate/{{case}}/{acquisition}/sweep_{number}.mha",
                acquisition=ACQUISITIONS,
                number=range(1, SETTINGS["simulate"]["sweeps"] + 1),
            ),
            calibrations=expand(
                "results/simulate/{{case}}/calibration_{acquisition}.xml", acquisition=ACQUISITIONS
            ),
            truth="results/simulate/{case}/truth.mha",
            description="results/simulate/{case}/truth.json",
        log:
            "results/logs/simulate/{case}.log",
        benchmark:
            "results/benchmarks/simulate/{case}.tsv"
        conda:
            "../../envs/myosweep.yaml"
        threads: processors(1)
        resources:
            mem_mb=megabytes(800),
        params:
            side=lambda wildcards: TABLES.cases[wildcards.case].side or "right",
            settings=SETTINGS["simulate"],
            seed=SETTINGS["seed"],
            code=code_of("simulate"),
        message:
            "Simulating the recordings of case {wildcards.case}"
        script:
            "../scripts/simulate.py"
