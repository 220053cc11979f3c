"""Sharing: who else may see or change a mailing, a message or a list."""
