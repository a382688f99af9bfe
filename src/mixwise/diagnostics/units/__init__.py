"""Which units of a network do nothing: silenced, or repeated by others."""
