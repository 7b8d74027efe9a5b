"""Google's checkpoints of ELECTRA: what their variables are called, which networks they hold, which heads."""
