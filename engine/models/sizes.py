"""Sizes of models as people say them."""

from __future__ import annotations

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def parameters(count: int | None) -> str:
    """As people name models.

    >>> parameters(8_030_261_248), parameters(11_462_720), parameters(None)
    ('8B', '11.5M', 'unknown')
    """
    if count is None:
        return "unknown"
    unit, name = (1e9, "B") if count >= 1e9 else (1e6, "M")
    return f"{round(count / unit, 1):g}{name}"


def size(count: int | None) -> str:
    """Bytes in decimal units, as hubs and disks have them.

    >>> size(1_708_582_752), size(12_531_200), size(None)
    ('1.7 GB', '12.5 MB', 'unknown')
    """
    if count is None:
        return "unknown"
    value, unit = float(count), 0
    while value >= 1000 and unit + 1 < len(_UNITS):
        value, unit = value / 1000, unit + 1
    return f"{round(value, 1):g} {_UNITS[unit]}"
