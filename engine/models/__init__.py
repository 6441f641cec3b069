"""The catalogue: which models there are and how each wants to be asked."""
