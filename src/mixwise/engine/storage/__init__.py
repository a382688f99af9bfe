"""Jobs whose files travel through object storage, for hosts that share no disk."""
