"""What happened: runs, letters and attempts."""
