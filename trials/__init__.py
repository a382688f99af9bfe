"""Commands that try many cases, one line each; exit 1 if any of them fails."""
