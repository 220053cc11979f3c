"""Clients and their lists, and reading them from files."""
