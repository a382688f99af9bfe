"""Expert minus base: read from checkpoints and adapters, encoded, kept in files."""
