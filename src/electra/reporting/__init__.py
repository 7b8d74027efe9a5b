"""Building blocks of HTML pages: sections, tables, curves, marked text. They know no task and no run."""
