"""The report of an experiment: one page to show, and the same as Markdown or JSON."""
