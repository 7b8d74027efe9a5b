"""Random hostile input for every door of the package: `make fuzz`."""
