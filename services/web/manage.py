#!/usr/bin/env python
"""The web service's commands: `manage.py help` lists them."""

from vestnik.command_line import main

if __name__ == "__main__":
    main("web.settings")
