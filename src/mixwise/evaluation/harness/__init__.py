"""Tasks of EleutherAI's lm-evaluation-harness as evaluation sets."""
