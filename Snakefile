from pathlib import Path

from snakemake.utils import min_version

min_version("9.14")

if "cases" not in config:

    configfile: Path(workflow.basedir) / "config" / "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/screen.smk"
include: "workflow/rules/compound.smk"
include: "workflow/rules/register.smk"
include: "workflow/rules/labels.smk"
include: "workflow/rules/annotate.smk"
include: "workflow/rules/confidence.smk"
include: "workflow/rules/segment.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/studies.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/targets.smk"


rule all:
    default_target: True
    input:
        "results/volumes.csv",
        "results/metrics.csv",
        "results/report/index.html",
        "results/provenance.json",
        "results/labels/labels.txt",
        segmentations,
