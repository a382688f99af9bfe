"""A network on disk and in memory: open, load, overwrite."""
