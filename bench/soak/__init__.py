"""Everything that can die, killed at random moments of throttled runs; then the ledger is held against what arrived."""
