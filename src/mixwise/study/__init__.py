"""A study: its folder, what the recipe asks for, and the runs and scorers that its stages share."""
