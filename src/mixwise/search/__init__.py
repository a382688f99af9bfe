"""Propose mixtures, given a scorer and a space; no method here knows what a model is."""
