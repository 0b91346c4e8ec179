"""The command `storybank index`."""

from __future__ import annotations

import click

from storybank.cli.options import bank_option, encoder_option, json_option, open_configured


@click.command()
@click.option("--rebuild", is_flag=True, help="Throw the index away and make it anew.")
@encoder_option
@json_option
@bank_option
@click.pass_context
def index(ctx: click.Context, rebuild: bool, encoder: str | None, as_json: bool) -> None:
    """Bring the index up to date.

    `match` does this by itself; it is worth a call of its own only to see what changed, or after a
    large import. The index is a cache in .storybank/ and may be deleted at any time.

    \b
      storybank index
      storybank index --rebuild
    """
    from storybank import encoders
    from storybank.cli import terminal
    from storybank.index import Index

    bank, config = open_configured(ctx)
    loaded = encoders.load(encoder or config.encoder)
    known = Index(bank, loaded)
    ctx.call_on_close(known.close)
    stats = (known.rebuild if rebuild else known.update)(terminal.progress())
    if as_json:
        answer = {
            "added": stats.added,
            "changed": stats.changed,
            "removed": stats.removed,
            "kept": stats.kept,
            "problems": [each.as_dict() for each in known.problems],
            "encoder": loaded.name,
        }
        terminal.print_json(answer)
    else:
        click.echo(
            f"+ {stats.added} added  ~ {stats.changed} changed  "
            f"- {stats.removed} removed  = {stats.kept} kept"
        )
        terminal.note_problems(known.problems)
    for notice in known.notices:
        terminal.note(notice)
