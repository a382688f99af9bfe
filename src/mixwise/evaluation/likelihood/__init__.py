"""Sets that are measured by the log-likelihood of the tokens of their rows."""
