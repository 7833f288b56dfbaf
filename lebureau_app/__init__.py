"""Le Bureau: a full Linux computer for every AI agent, and its owner in charge of it."""

__version__ = "0.1.0"
