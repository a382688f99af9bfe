"""Trainers that a mixture is handed over to, one a file."""
