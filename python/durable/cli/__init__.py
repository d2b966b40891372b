"""The command line: `durable ...` and `python -m durable ...`; `import durable` pays nothing for it."""

import logging
import sys


def main() -> None:
    """Run the command that the process was started with, and end the process with its exit code."""
    # What fails is shown by the commands themselves; a line for each try would tear their tables.
    for name in ("durable.failures", "durable.notices"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    from .failure import CommandError, report  # noqa: PLC0415  # slow to import
    from .root import app  # noqa: PLC0415

    try:
        app(prog_name="durable")
    except CommandError as error:
        sys.exit(report(error))
