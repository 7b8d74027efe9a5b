"""The verbs: each has a config whose fields are its flags and keywords, and a function that does the work."""
