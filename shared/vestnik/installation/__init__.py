"""What an installation knows of itself."""
