"""Shares within bounds and linear limits: nearest points, corners, programs, what clashes."""
