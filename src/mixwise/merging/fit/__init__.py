"""Does an expert fit the base: configuration, tokenizer, what moved."""
