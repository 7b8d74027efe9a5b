"""What a run's page is made of: HTML, curves, coloured tokens, tables. The renderers know no task and no run."""
