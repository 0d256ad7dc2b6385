#!/usr/bin/env python
"""Django's command line. Finds a running embedded stack (--home or VOICEREEL_HOME) before the settings are read."""

import os
import sys

from config.embedded.home import adopt_home


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    sys.argv = adopt_home(sys.argv)
    from django.core.management import execute_from_command_line  # noqa: PLC0415  settings must not load earlier

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
