from myosweep.progress import open_log

open_log(snakemake.log[0], snakemake.rule, snakemake.wildcards.study)

from pathlib import Path

from myosweep.metrics.studies import Subject, read_evaluations, read_training, study_rows, write_study

params = snakemake.params
found = read_evaluations(snakemake.input.evaluations)
subjects = [
    Subject(
        member["model"],
        member["structures"],
        member["given_slices"],
        [read_training(Path("results/train", name), params.examples[name]) for name in member["trainings"]],
        found.get(source, {}),
    )
    for source, member in params.members.items()
]
write_study(snakemake.output[0], study_rows(subjects))
