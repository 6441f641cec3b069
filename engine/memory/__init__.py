"""The translation memory: segments that were translated before."""
