rule train:
    input:
        images=training_files("compound"),
        confidences=training_files("confidence"),
        labels=training_files("labels"),
    output:
        weights="results/train/{model}/weights.safetensors",
        model="results/train/{model}/model.json",
        history="results/train/{model}/history.csv",
    log:
        "results/logs/train/{model}.log",
    benchmark:
        "results/benchmarks/train/{model}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(2)
    resources:
        mem_mb=megabytes(4000),
    params:
        cases=lambda wildcards: [
            {key: getattr(row, key) for key in ("case", "participant", "side", "split")}
            for row in training_rows(wildcards)
        ],
        structures=SETTINGS["structures"],
        channels=SETTINGS["segmentation"]["channels"],
        settings=model_settings,
        seed=SETTINGS["seed"],
        code=code_of("train"),
    message:
        "Training model {wildcards.model}"
    script:
        "../scripts/train.py"


rule predict:
    input:
        model=model_files,
        image=base_file("compound"),
        confidence=confidence_of_case,
    output:
        "results/predict/{model}/{case}.mha",
    log:
        "results/logs/predict/{model}/{case}.log",
    benchmark:
        "results/benchmarks/predict/{model}/{case}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(1)
    resources:
        mem_mb=megabytes(1500, 40),
    params:
        side=lambda wildcards: TABLES.cases[wildcards.case].side,
        structures=SETTINGS["structures"],
        channels=SETTINGS["segmentation"]["channels"],
        code=code_of("predict"),
    message:
        "Segmenting case {wildcards.case} with model {wildcards.model}"
    script:
        "../scripts/predict.py"
