"""What a worker does: hold a model, merge or load into it, measure it."""
