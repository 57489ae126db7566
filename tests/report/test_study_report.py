"""Studies in the report: where they were made, with what they were given and how long they learned."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from myosweep.io.tables import VOLUME_COLUMNS
from myosweep.metrics.studies import Subject, Training, study_rows, write_study
from myosweep.report.studies import LIMITS, STEPS
from myosweep.report.write import write_report


def written(folder: Path, **studies: Path) -> str:
    pd.DataFrame([dict.fromkeys(VOLUME_COLUMNS, "")]).to_csv(folder / "volumes.csv", index=False)
    write_report(folder / "report", volumes_csv=folder / "volumes.csv", studies=studies)
    return (folder / "report/index.html").read_text(encoding="utf-8")


def test_studies_are_shown_where_they_were_made(tmp_path: Path) -> None:
    assert STEPS[:40] not in written(tmp_path)
    subjects = [
        Subject(
            name,
            ["GM"],
            given,
            [Training(("GM",), 1234, 567)],
            {case: {"GM": {"dice": dice}} for case, dice in (("a", 0.5), ("b", 0.75))},
        )
        for name, given in (("unet", 0), ("ifssnet", 3))
    ]
    write_study(tmp_path / "comparison.csv", study_rows(subjects))
    write_study(tmp_path / "ablation_unet.csv", study_rows(subjects[:1]))
    text = written(tmp_path, **{path.stem: path for path in tmp_path.glob("[ac]*.csv")})
    comparison, ablation = text.split("comparison.csv")[1].split("ablation_unet.csv")
    assert "no automatic method" in comparison
    assert "0.625 ± 0.177" in comparison
    assert "1234" in comparison
    assert "given slices" in comparison.split("<thead>")[1]
    assert "given slices" not in ablation.split("<h2")[0]
    for words in (STEPS, LIMITS):
        assert words.replace("'", "&#39;") in text
