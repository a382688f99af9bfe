"""May the answer be trusted, and how far."""
