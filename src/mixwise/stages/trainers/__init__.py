"""What a recipe takes over from the configuration of a trainer, one trainer a file."""
