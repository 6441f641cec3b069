"""What to ask the model and what to make of its answer: languages, prompts, segments."""
