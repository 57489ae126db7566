rule train:
    input:
        images=training_files("compound"),
        confidences=training_files("confidence"),
        labels=training_files("labels"),
        start=start_files,
    output:
        weights="results/train/{training}/weights.safetensors",
        model="results/train/{training}/model.json",
        history="results/train/{training}/history.csv",
        last_weights="results/train/{training}/last/weights.safetensors",
        last_model="results/train/{training}/last/model.json",
    log:
        "results/logs/train/{training}.log",
    benchmark:
        "results/benchmarks/train/{training}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: lambda wildcards: processors(model_of_training(wildcards).settings["threads"])
    resources:
        mem_mb=training_megabytes,
    params:
        cases=lambda wildcards: [
            {key: getattr(row, key) for key in ("case", "participant", "side", "split")}
            for row in training_rows(wildcards)
        ],
        structures=SETTINGS["structures"],
        learned=learned_structures,
        network=lambda wildcards: model_of_training(wildcards).network,
        channels=lambda wildcards: list(model_of_training(wildcards).channels),
        settings=lambda wildcards: model_of_training(wildcards).settings,
        seed=SETTINGS["seed"],
        code=lambda wildcards: code_of_network("train", model_of_training(wildcards).network),
    message:
        "Training model {wildcards.training}"
    script:
        "../scripts/train.py"


rule predict:
    input:
        model=model_files,
        image=base_file("compound"),
        confidence=confidence_of_model,
        guide=guide_of_case,
    output:
        "results/predict/{model}/{case}.mha",
    log:
        "results/logs/predict/{model}/{case}.log",
    benchmark:
        "results/benchmarks/predict/{model}/{case}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: prediction_threads
    resources:
        mem_mb=prediction_megabytes,
    params:
        side=lambda wildcards: TABLES.cases[wildcards.case].side,
        structures=lambda wildcards: structures_of(wildcards.model),
        channels=lambda wildcards: channels_of(wildcards.model),
        inference=lambda wildcards: inference_of(wildcards.model),
        code=lambda wildcards: code_of_network("predict", network_of(wildcards.model)),
    message:
        "Segmenting case {wildcards.case} with model {wildcards.model}"
    script:
        "../scripts/predict.py"


rule map_uncertainty:
    input:
        model=model_files,
        image=base_file("compound"),
        confidence=confidence_of_model,
        guide=guide_of_case,
    output:
        "results/uncertainty/{model}/{case}.mha",
    log:
        "results/logs/map_uncertainty/{model}/{case}.log",
    benchmark:
        "results/benchmarks/map_uncertainty/{model}/{case}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: prediction_threads
    resources:
        mem_mb=prediction_megabytes,
    params:
        side=lambda wildcards: TABLES.cases[wildcards.case].side,
        structures=lambda wildcards: structures_of(wildcards.model),
        channels=lambda wildcards: channels_of(wildcards.model),
        inference=lambda wildcards: inference_of(wildcards.model, "flips", "dropout_passes", "overlap"),
        code=lambda wildcards: code_of_network("map_uncertainty", network_of(wildcards.model)),
    message:
        "Mapping where model {wildcards.model} is not sure of case {wildcards.case}"
    script:
        "../scripts/map_uncertainty.py"
