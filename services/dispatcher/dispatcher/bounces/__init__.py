"""What comes back of letters by mail: bounces, complaints, and letters by which people unsubscribe."""
