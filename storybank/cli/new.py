"""The command `storybank new`."""

from __future__ import annotations

import os
import signal
import sys

import click

from storybank.cli.boundary import FAILURE
from storybank.cli.options import bank_option, open_bank


@click.command()
@click.argument("title", nargs=-1)
@click.option("--for", "question", metavar="QUESTION", help="A question that it shall answer.")
@click.option("--no-edit", is_flag=True, help="Make the file only; do not open the editor.")
@bank_option
@click.pass_context
def new(ctx: click.Context, title: tuple[str, ...], question: str | None, no_edit: bool) -> None:
    """Begin a story: a file with a prompt for each section, opened in your editor.

    The editor is $VISUAL, else $EDITOR. A file that you leave as it was, or empty, is taken away
    again. The prompts are never matched or counted; put your text below them.

    \b
      storybank new "The label that nobody read"
      storybank new --for "Tell me about a time you failed"
    """
    from storybank.cli import terminal
    from storybank.scaffold import make_story

    bank = open_bank(ctx)
    heading, asked = (terminal.clean(text).strip() for text in (" ".join(title), question or ""))
    if question is not None and not asked:
        raise click.BadParameter("the question is empty.", ctx, param_hint="'--for'")
    path = make_story(bank.folder, heading or None, asked or None)
    if no_edit or not sys.stdin or not sys.stdin.isatty():
        click.echo(f"made {path}")
        return
    with open(path, "rb") as file:
        begun = file.read()
    # Ctrl-C in the editor is the editor's; it resets this handler for itself when it starts.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        click.edit(filename=path)
    except click.ClickException as error:
        terminal.note(f"{error.format_message()}; the story is in {path}")
        ctx.exit(FAILURE)
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        with open(path, "rb") as file:
            told = file.read().strip()
        if told and told != begun.strip():
            click.echo(f"made {path}")
            return
        os.remove(path)
    except FileNotFoundError:  # taken away in the editor
        pass
    terminal.note("nothing was written, so no story was made.")
