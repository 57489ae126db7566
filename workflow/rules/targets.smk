rule simulated:
    input:
        expand("results/simulate/{case}/truth.mha", case=TABLES.included) if "simulate" in SETTINGS else [],


rule screened:
    input:
        "results/screen.tsv",


rule compounded:
    input:
        for_usable("results/compound/{case}/{acquisition}.mha", acquisition=TABLES.acquisitions),


rule registered:
    input:
        for_usable(
            "results/register/{case}/{acquisition}.tfm",
            acquisition=registered_acquisitions,
        ),


rule labelled:
    input:
        for_usable(
            "results/labels/{method}/{case}.{suffix}",
            method=lambda case: METHODS if is_labelled(case) else [],
            suffix=["mha", "seg.nrrd"],
        ),
        "results/labels/labels.txt",


rule annotation_kit:
    input:
        kits,


rule confidence_mapped:
    input:
        for_usable("results/confidence/{case}/{acquisition}.mha", acquisition=TABLES.acquisitions),


rule trained:
    input:
        [f"results/train/{training}/weights.safetensors" for training in all_trainings()],


rule segmented:
    input:
        for_usable(
            "results/predict/{model}/{case}.{suffix}",
            model=lambda case: [source for source in sources_of(case) if source in MODELS],
            suffix=["mha", "seg.nrrd"],
        ),


rule uncertainty_mapped:
    input:
        for_usable(
            "results/uncertainty/{model}/{case}.mha",
            model=lambda case: [
                source for source in sources_of(case) if source in MODELS and passes_differ(source)
            ],
        ),


rule evaluated:
    input:
        "results/metrics.csv",


rule compare_networks:
    input:
        "results/comparison.csv",


rule ablate_unet:
    input:
        "results/ablation_unet.csv",


rule ablate_ifssnet:
    input:
        "results/ablation_ifssnet.csv",


rule compare_negative_labels:
    input:
        "results/negative_labels.csv",


rule measured:
    input:
        "results/volumes.csv",


rule reported:
    input:
        "results/report/index.html",
