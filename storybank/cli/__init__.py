"""The command line. A function here parses, calls and prints; what it does is in the library.

Modules of this package import nothing heavier than click when they are loaded, so that `--help`
and completion are instant; each command imports what it needs in its body.
"""

from __future__ import annotations

import os

import click

from storybank import __version__
from storybank.cli.boundary import Commands
from storybank.cli.evaluating import evaluate
from storybank.cli.indexing import index
from storybank.cli.init import init
from storybank.cli.listing import list_stories
from storybank.cli.matching import match
from storybank.cli.new import new
from storybank.cli.options import bank_option
from storybank.cli.show import show

# numpy's BLAS otherwise starts a thread a core, which costs a question a tenth of a second and
# gains it nothing: the one product that it computes is bound by memory.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="storybank", message="%(prog)s %(version)s")
@bank_option
def main() -> None:
    """Find the right interview story for a question, in your own Markdown files.

    \b
      storybank init my-bank
      cd my-bank
      storybank match "Tell me about a time you changed your mind"

    Stories are files in stories/, one each; nothing ever leaves this machine.
    """


for command in (init, new, list_stories, show, index, match, evaluate):
    main.add_command(command)
