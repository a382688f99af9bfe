"""How metrics move with the shares."""
