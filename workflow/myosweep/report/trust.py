"""Where not to trust a measurement: what raises a flag, and from which value on."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from myosweep.report.tables import Case, number

FAR_PERCENT = 10.0
LEFT_OUT_PERCENT = 5.0
LOW_CONFIDENCE = 0.2
COMPLETED_PERCENT = 90.0
DISAGREEMENT_PERCENT = 10.0
ERROR_PERCENT = 10.0
OPEN_OUTLINE_MM = 5.0

KINDS = {
    "unmeasured": ("No measurement", "the case was excluded or failed"),
    "partial": (
        "Partial structure",
        "the structure leaves the swept volume or an end was not annotated: a lower bound",
    ),
    "missing": ("Not annotated", "a structure has no labels in this case"),
    "registration": ("Registration refused", "an acquisition could not be brought onto the base acquisition"),
    "open": (
        "Open outline",
        f"a measured structure borders on unknown voxels over more than {OPEN_OUTLINE_MM:g} mm along z",
    ),
    "far": (
        "Far from data",
        f"more than {FAR_PERCENT:g} % of the structures' voxels lie more than 3 mm from any frame",
    ),
    "frames": (
        "Left-out frames",
        f"more than {LEFT_OUT_PERCENT:g} % of a recording's frames could not be used",
    ),
    "confidence": ("Low confidence", f"the mean confidence within a structure is under {LOW_CONFIDENCE:g}"),
    "border": (
        "Completed border",
        f"the image does not show more than {COMPLETED_PERCENT:g} % of a structure's border",
    ),
    "disagreement": (
        "Sources disagree",
        f"the volumes of one structure lie more than {DISAGREEMENT_PERCENT:g} % of their mean apart",
    ),
    "error": ("Off the reference", f"a volume differs from the reference by more than {ERROR_PERCENT:g} %"),
}
SEVERE = ("unmeasured", "partial", "missing", "registration")


@dataclass(frozen=True)
class Flag:
    """One reason for caution, of a kind in `KINDS`."""

    kind: str
    text: str

    @property
    def title(self) -> str:
        """What the kind is called."""
        return KINDS[self.kind][0]

    @property
    def severe(self) -> bool:
        """Whether a volume is missing or is a bound only."""
        return self.kind in SEVERE


def flags_of(
    case: Case,
    registration: Iterable[Mapping[str, Any]] = (),
    screen: Sequence[Mapping[str, str]] = (),
    summary: Mapping[str, Any] | None = None,
    metrics: pd.DataFrame | None = None,
    compared: Collection[str] | None = None,
) -> list[Flag]:
    """All flags of one case, the gravest first.

    Parameters
    ----------
    case
        Its rows of volumes.csv.
    registration
        A dictionary for each acquisition, as in `registration_rows`.
    screen
        Its rows of screen.tsv.
    summary
        What `draw_case` wrote beside the pictures.
    metrics
        Its rows of metrics.csv that hold for whole volumes, `value` as a number.
    compared
        The sources whose volumes are compared with each other and with the reference; all where not given.
        Labels that are made only to be measured, and are known to lose volume, would flag every case.
    """
    flags = [
        *_status_flags(case),
        *(
            Flag("registration", f"{row['acquisition']}: {row['reason'] or 'no reason given'}")
            for row in registration_rows(registration)
            if not row["accepted"]
        ),
        *_summary_flags(case, summary or {}),
        *_frame_flags(screen),
        *_metric_flags(metrics),
        *_volume_flags(case, compared),
    ]
    order = list(KINDS)
    return sorted(dict.fromkeys(flags), key=lambda flag: order.index(flag.kind))


def registration_rows(measures: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Registrations in one form, whether the measures stand apart or beside the verdict.

    Returns
    -------
    For each: acquisition, accepted, reason, measures (name and number or text).
    """
    rows = []
    for number_, entry in enumerate(measures, start=1):
        verdict = entry.get("accepted", entry.get("verdict", True))
        if isinstance(verdict, str):
            verdict = verdict.strip().lower() in ("accepted", "true", "yes", "ok")
        inner = entry.get("measures")
        values = dict(inner) if isinstance(inner, Mapping) else {}
        for key, value in entry.items():
            if key not in (
                "accepted",
                "verdict",
                "reason",
                "acquisition",
                "measures",
                "case",
            ) and not isinstance(value, list | dict):
                values[key] = value
        rows.append(
            {
                "acquisition": str(entry.get("acquisition", f"registration {number_}")),
                "accepted": bool(verdict),
                "reason": str(entry.get("reason", "") or ""),
                "measures": values,
            }
        )
    return rows


def _status_flags(case: Case) -> list[Flag]:
    flags = []
    unmeasured = [row for row in case.measurements if row.status in ("excluded", "failed")]
    for text in dict.fromkeys(f"{row.status}: {row.reason or 'no reason given'}" for row in unmeasured):
        flags.append(Flag("unmeasured", text))
    for status, kind in (("partial", "partial"), ("not_annotated", "missing")):
        by_text: dict[tuple[str, str], list[str]] = {}
        for row in case.measurements:
            if row.status == status:
                by_text.setdefault((row.structure, row.reason), []).append(row.source)
        for (structure, reason), sources in by_text.items():
            where = f"{structure} ({', '.join(filter(None, sources))})" if any(sources) else structure
            flags.append(Flag(kind, f"{where}: {reason}" if reason else where))
    return flags


def _summary_flags(case: Case, summary: Mapping[str, Any]) -> list[Flag]:
    flags = []
    far = summary.get("structures_far_percent")
    if far is not None and far > FAR_PERCENT:
        flags.append(Flag("far", f"{far:.0f} % of the structures' voxels"))
    for structure, confidence in (summary.get("confidence") or {}).items():
        if confidence < LOW_CONFIDENCE:
            flags.append(Flag("confidence", f"{structure}: {confidence:.2f} in the mean"))
    for source, lengths in (summary.get("open_outline_mm") or {}).items():
        for structure, length in lengths.items():
            row = case.find(source, structure)
            if row is not None and row.status == "measured" and length > OPEN_OUTLINE_MM:
                flags.append(Flag("open", f"{structure} ({source}): over {length:.0f} mm"))
    return flags


def _frame_flags(screen: Sequence[Mapping[str, str]]) -> list[Flag]:
    flags = []
    for row in screen:
        frames, usable = number(row.get("frames", "")), number(row.get("usable_frames", ""))
        if frames > 0 and usable >= 0 and 100 * (frames - usable) / frames > LEFT_OUT_PERCENT:
            name = " ".join(filter(None, [row.get("acquisition", ""), row.get("sweep", "")])) or "recording"
            text = f"{name}: {frames - usable:.0f} of {frames:.0f}"
            if row.get("left_out"):
                text += f" ({_short(row['left_out'])})"
            flags.append(Flag("frames", text))
    return flags


def _metric_flags(metrics: pd.DataFrame | None) -> list[Flag]:
    if metrics is None or metrics.empty:
        return []
    flags = []
    for row in metrics.to_dict("records"):
        metric, structure, value = row["metric"], row["structure"], number(row["value"])
        if metric == "border_distinct" and 100 - value > COMPLETED_PERCENT:
            # The border is the reference's, the same for every source.
            flags.append(Flag("border", f"{structure}: {100 - value:.0f} % of the border"))
    return flags


def _volume_flags(case: Case, compared: Collection[str] | None) -> list[Flag]:
    flags = []
    for structure in dict.fromkeys(row.structure for row in case.measurements):
        rows = [
            row
            for row in case.measurements
            if row.structure == structure
            and row.status == "measured"
            and math.isfinite(row.volume_ml)
            and (compared is None or row.source in compared)
        ]
        if len(rows) > 1:
            low, high = min(rows, key=lambda r: r.volume_ml), max(rows, key=lambda r: r.volume_ml)
            mean = sum(row.volume_ml for row in rows) / len(rows)
            apart = 100 * (high.volume_ml - low.volume_ml) / mean if mean > 0 else 0.0
            if apart > DISAGREEMENT_PERCENT:
                flags.append(
                    Flag(
                        "disagreement",
                        f"{structure}: {low.source} {low.volume_ml:.1f} ml, "
                        f"{high.source} {high.volume_ml:.1f} ml ({apart:.0f} %)",
                    )
                )
        for row in rows:
            if abs(row.error_percent) > ERROR_PERCENT:
                flags.append(
                    Flag("error", f"{structure} ({row.source}): {row.error_percent:+.1f} %".replace("-", "−"))
                )
    return flags


def _short(text: str, length: int = 80) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
