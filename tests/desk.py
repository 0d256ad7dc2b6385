"""An operator's desk: `manage.py` commands one after the other in one process, which loads Django once.

`python -m tests.desk --home DIR` reads a JSON list of words a line and answers {"code", "out", "err"} a line.
That `manage.py` itself finds a home, each time anew, is for tests/embedded/test_up.py to say.
"""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout

from config.embedded.home import adopt_home


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    adopt_home(sys.argv)
    answers = sys.stdout
    for line in sys.stdin:
        print(json.dumps(obey(json.loads(line))), file=answers, flush=True)


def obey(words: list[str]) -> dict[str, object]:
    from django.contrib.auth.hashers import PBKDF2PasswordHasher
    from django.core.management import execute_from_command_line

    PBKDF2PasswordHasher.iterations = 1  # hashing is slow on purpose; no test is about how slow

    out, err, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            execute_from_command_line(["manage.py", *words])
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception:  # noqa: BLE001  a command's failure is told, and the desk goes on
            traceback.print_exc()
            code = 1
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    main()
