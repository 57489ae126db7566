from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule)

from pathlib import Path

from myosweep.io.files import read_json
from myosweep.metrics.evaluate import DEFINITIONS
from myosweep.report.write import write_report

inputs = snakemake.input
registrations = {}
for path in map(Path, inputs.registrations):
    registrations.setdefault(path.parent.name, []).append({"acquisition": path.stem, **read_json(path)})
write_report(
    Path(snakemake.output[0]).parent,
    volumes_csv=inputs.volumes,
    metrics_csv=inputs.metrics,
    screen_tsv=inputs.screen,
    excluded_tsv=inputs.excluded,
    figures={Path(path).parent.name: Path(path).parent for path in inputs.figures},
    registration=registrations,
    definitions=DEFINITIONS,
    settings=snakemake.params.settings,
    provenance=read_json(inputs.provenance),
    models={
        path.removeprefix("results/train/").removesuffix("/history.csv"): path for path in inputs.histories
    },
    comparison_csv=next(iter(snakemake.params.comparison), None),
    studies={Path(path).stem: path for path in snakemake.params.studies},
)
