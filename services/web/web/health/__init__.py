"""Whether the web lives, and whether it can serve: /healthz, /readyz, `python -m web.health`."""
