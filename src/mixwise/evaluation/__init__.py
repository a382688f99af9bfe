"""What a model is measured on, and how."""
