REPORT_ASSETS = [
    str(path.relative_to(workflow.basedir))
    for path in sorted((Path(workflow.basedir) / "resources" / "report").iterdir())
]
FIGURES = ("montage.png", "areas.png", "view3d.png", "coverage.png", "summary.json")


rule draw:
    input:
        image=base_file("compound"),
        coverage=base_file("coverage"),
        labels=lambda wildcards: [
            measured_file(wildcards.case, source) for source in sources_of(wildcards.case)
        ],
        reference=reference_of,
        confidence=confidence_of_case,
    output:
        expand("results/figures/{{case}}/{figure}", figure=FIGURES),
    log:
        "results/logs/draw/{case}.log",
    benchmark:
        "results/benchmarks/draw/{case}.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(1)
    resources:
        mem_mb=megabytes(1500, 40),
    params:
        sources=lambda wildcards: sources_of(wildcards.case),
        main=f"labels_{SETTINGS['labels']['use']}",
        axes=SETTINGS["compounding"]["axes"],
        structures=SETTINGS["structures"],
        names=segment_names,
        code=code_of("draw", "resources/colours.json"),
    message:
        "Drawing case {wildcards.case}"
    script:
        "../scripts/draw.py"


rule record_provenance:
    input:
        volumes="results/volumes.csv",
        metrics="results/metrics.csv",
        tables=[SETTINGS["cases"], SETTINGS["sweeps"]],
    output:
        "results/provenance.json",
    log:
        "results/logs/record_provenance.log",
    benchmark:
        "results/benchmarks/record_provenance.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(1)
    resources:
        mem_mb=megabytes(400),
    params:
        settings=SETTINGS,
        code=code_of("record_provenance"),
    message:
        "Recording versions, settings and checksums"
    script:
        "../scripts/record_provenance.py"


rule report:
    input:
        volumes="results/volumes.csv",
        metrics="results/metrics.csv",
        screen="results/screen.tsv",
        excluded="results/excluded.tsv",
        provenance="results/provenance.json",
        figures=for_usable("results/figures/{case}/{figure}", figure=FIGURES),
        registrations=for_usable(
            "results/register/{case}/{acquisition}.json",
            acquisition=registered_acquisitions,
        ),
        histories=[f"results/train/{training}/history.csv" for training in all_trainings()],
    output:
        "results/report/index.html",
    log:
        "results/logs/report.log",
    benchmark:
        "results/benchmarks/report.tsv"
    conda:
        "../../envs/myosweep.yaml"
    threads: processors(1)
    resources:
        mem_mb=megabytes(1000),
    params:
        settings=SETTINGS,
        # Told, and not asked for: who wants a report does not want to wait for comparisons.
        comparison=comparison_made,
        studies=studies_made,
        code=code_of("report", "resources/colours.json", *REPORT_ASSETS),
    message:
        "Writing the report"
    script:
        "../scripts/report.py"
