"""What is known of a model beside its scores: calibration, worst errors, a summary of the data, sections of a page."""
