from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.case)

from pathlib import Path

from myosweep.io.made_files import made_file
from myosweep.io.volumes import read_volume, write_volume
from myosweep.training.inference import predict
from myosweep.training.model import check_model

folder = Path(snakemake.input.model[0]).parent
check_model(folder, snakemake.params.structures, snakemake.params.channels)
confidence = read_volume(snakemake.input.confidence) if snakemake.input.confidence else None
labels = predict(folder, read_volume(snakemake.input.image), confidence, snakemake.params.side)
with made_file(snakemake.output[0]):
    write_volume(snakemake.output[0], labels)
