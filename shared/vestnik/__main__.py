"""`python -m vestnik COMMAND`: manage.py, where there is none; DJANGO_SETTINGS_MODULE says whose. For containers."""

import os

from vestnik.command_line import main

if __name__ == "__main__":
    main(os.environ["DJANGO_SETTINGS_MODULE"])
