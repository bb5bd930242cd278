"""The data gate of Kaito: what runs inside the gate image."""

__version__ = "0.1.0"
