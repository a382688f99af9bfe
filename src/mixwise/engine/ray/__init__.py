"""Ray as an engine: several hosts, several GPUs."""
