"""How fast, and whether at all: breaker, throttle, limits, connections, over all processes."""
