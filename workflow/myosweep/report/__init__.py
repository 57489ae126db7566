"""The report: pages of HTML that open without a network (`write.write_report`)."""
