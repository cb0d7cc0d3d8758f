"""Applications built on Tidemill, through its public names only."""

__version__ = "0.1.0"
