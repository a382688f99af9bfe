"""From two answers to a recommendation and how far to trust it; no torch, no files."""
