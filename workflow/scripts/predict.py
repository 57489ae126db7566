from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from pathlib import Path

from myosweep.io.made_files import made_file
from myosweep.io.volumes import read_volume, write_volume
from myosweep.training.inference import predict
from myosweep.training.model import check_models

inputs, params = snakemake.input, snakemake.params
folders = list(dict.fromkeys(Path(file).parent for file in inputs.model))
check_models(folders, params.structures, params.channels)
confidence = read_volume(inputs.confidence) if inputs.confidence else None
guide = read_volume(inputs.guide) if inputs.guide else None
labels = predict(folders, read_volume(inputs.image), confidence, params.side, guide)
with made_file(snakemake.output[0]):
    write_volume(snakemake.output[0], labels)
