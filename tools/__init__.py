"""What those who work on Vestnik run on its sources: tables made of them, and checks that no other tool does."""
