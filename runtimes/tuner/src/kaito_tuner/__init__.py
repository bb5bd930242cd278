"""The trainer of Kaito: what runs inside the tuner image."""

__version__ = "0.1.0"
