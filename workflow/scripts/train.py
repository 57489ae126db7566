from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule)

from pathlib import Path

from myosweep.io.digests import run_digest
from myosweep.training.cases import TrainingCase
from myosweep.training.loop import train

inputs, params = snakemake.input, snakemake.params
confidences = inputs.confidences or [None] * len(inputs.images)
files = zip(inputs.images, inputs.labels, confidences, strict=True)
cases = [
    TrainingCase(**row, image=Path(image), confidence=confidence and Path(confidence), labels=Path(labels))
    for row, (image, labels, confidence) in zip(params.cases, files, strict=True)
]
# Of a model's folder the training takes its own fold and structure.
start_from = str(Path(inputs.start[0]).parent) if inputs.start else ""
key = run_digest(dict(params.items()), inputs)
train(
    cases,
    settings={**params.settings, "start_from": start_from},
    checkpoint_dir=Path("results/checkpoints") / snakemake.wildcards.training / key[:16],
    output_dir=Path(snakemake.output.weights).parent,
    **{name: params[name] for name in ("network", "structures", "learned", "channels", "seed", "code")},
)
