"""Runs and studies in a tracking tool: what is told, to whom, and that it never does harm."""
