"""Hostile input for everything that mixwise reads: see `trials.fuzz.__main__`."""
