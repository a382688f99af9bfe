"""Runs that somebody has already trained: a table of mixtures and scores, and what it says.

A *swarm* is what the field calls many runs on random mixtures (RegMix, Olmix).
"""

from mixwise.swarm.asked import parse_asked, parse_prior, parse_space
from mixwise.swarm.findings import MetricFit, NextRun, RunOfTable, SwarmFit
from mixwise.swarm.fit import fit_swarm
from mixwise.swarm.loop import Swarm
from mixwise.swarm.reading import read_swarm
from mixwise.swarm.table import Asked, SwarmTable

__all__ = [
    "Asked",
    "MetricFit",
    "NextRun",
    "RunOfTable",
    "Swarm",
    "SwarmFit",
    "SwarmTable",
    "fit_swarm",
    "parse_asked",
    "parse_prior",
    "parse_space",
    "read_swarm",
]
