"""Base model + mixture → checkpoint: the one way in which anything is trained."""
