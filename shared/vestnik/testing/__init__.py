"""What the tests of both services build their worlds of."""
