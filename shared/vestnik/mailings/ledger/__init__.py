"""What happened: runs, letters, attempts, and what became of them."""
