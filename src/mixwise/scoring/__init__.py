"""The two answers to a mixture: merge the experts, or train for real."""
