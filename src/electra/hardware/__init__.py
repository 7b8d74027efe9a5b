"""Which device, which precision, how fast this machine is."""
