"""The command `storybank init`."""

from __future__ import annotations

import click

from storybank.cli.options import bank_option, named_bank


@click.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(file_okay=False))
@bank_option
@click.pass_context
def init(ctx: click.Context, folder: str | None) -> None:
    """Make a story bank in DIR, else where --bank says, else here.

    Makes stories/ with one explained example, storybank.toml, and a .gitignore for what should not
    be published. What is there already is left as it is.

    \b
      storybank init my-bank
    """
    from storybank.cli import terminal
    from storybank.scaffold import make

    for path, made in make(folder or named_bank(ctx) or "."):
        click.echo(f"{'made' if made else 'kept'} {path}")
    terminal.note(
        "write each story as a file in stories/, then ask: storybank match <the question>"
    )
