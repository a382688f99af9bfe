"""How a mixture and the vectors of a pool give a model: one file per family of rules."""
