"""Regressions from mixture to metric, and what they say of the objective."""
