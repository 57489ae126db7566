"""The report: pages of HTML that open without a network."""

from myosweep.report.write import write_report

__all__ = ["write_report"]
