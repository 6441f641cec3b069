"""Everything below HTTP: decoding, translation, models, settings. Never imports tornado.web."""

__version__ = "0.1.0"
