"""llama.cpp through ctypes: model, context, batch, sampling and the decode loop.

Imports nothing here, so that `python -m engine.llama.wheel` runs before anything is installed.
"""
