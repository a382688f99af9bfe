"""Hand the recommended mixture to a trainer."""
