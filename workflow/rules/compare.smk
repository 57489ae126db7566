if "simulate" in SETTINGS:
    COMPARED = TABLES.included[: SETTINGS["comparison"]["cases"]]

    rule compare_interpolations:
        input:
            descriptions=expand("results/simulate/{case}/truth.json", case=COMPARED),
            images=(
                expand("results/compound/{case}/{acquisition}.mha", case=COMPARED, acquisition=ACQUISITIONS)
                if set(SETTINGS["comparison"]["interpolation"]) & set(NEED_IMAGE)
                else []
            ),
        output:
            "results/interpolation.csv",
        log:
            "results/logs/compare_interpolations.log",
        benchmark:
            "results/benchmarks/compare_interpolations.tsv"
        conda:
            "../../envs/myosweep.yaml"
        threads: processors(1)
        resources:
            mem_mb=megabytes(3000),
        params:
            settings=SETTINGS["comparison"],
            smoothing_voxels=SETTINGS["labels"]["smoothing_voxels"],
            smoothing=SETTINGS["labels"]["smoothing"],
            smooth_3d=SETTINGS["labels"]["smooth_3d"],
            ends=SETTINGS["labels"]["ends"],
            code=code_of("compare_interpolations"),
        message:
            "Comparing the interpolations of labels on simulated cases"
        script:
            "../scripts/compare_interpolations.py"
