"""The program: `storybank`, or `python -m storybank` where that is not on the path."""

from __future__ import annotations

import signal
import sys


def run() -> None:
    """Run the command line; Ctrl-C ends it at once.

    Nothing has to be tidied up then: the index is written in transactions, and no file of the user
    is rewritten. A
    KeyboardInterrupt that lands in a callback of the interpreter would print a traceback and be
    lost.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from storybank.cli import main

    try:
        main(prog_name="storybank")
    except OSError as error:  # not even the help could be printed
        sys.exit(f"storybank: {error.strerror or error}")


if __name__ == "__main__":
    run()
