"""What did not get through, by reason: tried again, or dismissed."""
