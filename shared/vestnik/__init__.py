"""The core of Vestnik: its data, its rules, and the contract between its services."""

__version__ = "0.2.0"
