"""Faults on a Ray cluster, with a shared disk or a store: see `trials.cluster.__main__`."""
