"""What the rows of data files are: texts, prompts with completions, questions with choices."""
