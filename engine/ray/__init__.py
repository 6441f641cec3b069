"""Replicas of the local engine in a Ray cluster: see `engine.ray.engine`."""
