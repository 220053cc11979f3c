"""The pages of Vestnik."""
