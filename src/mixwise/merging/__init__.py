"""From expert checkpoints and a mixture to one live model."""
