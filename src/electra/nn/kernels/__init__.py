"""Fast paths of single operations on CPUs, each with an eager reference implementation that a test compares it with."""
