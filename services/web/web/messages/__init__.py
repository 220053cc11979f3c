"""Messages: what a person writes."""
