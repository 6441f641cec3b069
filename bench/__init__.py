"""Measurements of the running server, as a client sees it."""
