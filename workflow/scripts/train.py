from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule)

from pathlib import Path

from myosweep.io.digests import run_digest
from myosweep.training.cases import TrainingCase
from myosweep.training.loop import train

inputs = snakemake.input
confidences = inputs.confidences or [None] * len(inputs.images)
cases = [
    TrainingCase(**row, image=Path(image), confidence=confidence and Path(confidence), labels=Path(labels))
    for row, image, confidence, labels in zip(
        snakemake.params.cases, inputs.images, confidences, inputs.labels, strict=True
    )
]
# Of a model's folder the training takes its own fold and structure.
start_from = str(Path(inputs.start[0]).parent) if inputs.start else ""
key = run_digest(dict(snakemake.params.items()), inputs)
train(
    cases,
    network=snakemake.params.network,
    settings={**snakemake.params.settings, "start_from": start_from},
    structures=snakemake.params.structures,
    learned=snakemake.params.learned,
    channels=snakemake.params.channels,
    seed=snakemake.params.seed,
    checkpoint_dir=Path("results/checkpoints") / snakemake.wildcards.training / key[:16],
    output_dir=Path(snakemake.output.weights).parent,
)
