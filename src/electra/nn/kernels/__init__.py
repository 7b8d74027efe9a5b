"""Fast paths of single operations on CPUs, each with a reference implementation, and torch's private names."""
