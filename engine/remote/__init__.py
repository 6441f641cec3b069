"""Upstreams answer instead of a model in this process: see `engine.remote.engine`."""
