"""The ledger as the engine uses it: the hot SQL, its rows, and how runs close."""
