"""The command `storybank list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from storybank.cli.options import (
    bank_option,
    json_option,
    open_bank,
    selection,
    selection_options,
)

if TYPE_CHECKING:
    from storybank.story import Story

# As in storybank.story, whose import --help need not wait for.
_KINDS = ("situation", "task", "action", "result", "learning")


@click.command("list")
@selection_options
@click.option(
    "--section-missing",
    "missing",
    metavar="S",
    type=click.Choice([*_KINDS, "any"], case_sensitive=False),
    help="Only stories without a situation, task, action, result or learning; any: one of the "
    "first four.",
)
@json_option
@bank_option
@click.pass_context
def list_stories(
    ctx: click.Context,
    tags: tuple[str, ...],
    values: tuple[str, ...],
    company: str | None,
    missing: str | None,
    as_json: bool,
) -> None:
    """List the stories, and all problems found in their files.

    A label matches in any spelling: --value dive-deep finds "Dive Deep" and "amazon/dive-deep".

    \b
      storybank list
      storybank list --value "Earn Trust" --company norvane
      storybank list --section-missing result
    """
    from storybank.cli import terminal

    bank = open_bank(ctx)
    wanted = selection(tags, values, company)
    chosen = [story for story in bank.stories if wanted.accepts(story) and _lacks(story, missing)]
    if as_json:
        answer = {
            "stories": [story.summary() for story in chosen],
            "problems": [each.as_dict() for each in bank.problems],
        }
        terminal.print_json(answer)
        return
    if chosen:
        rows = [
            (story.slug, story.date or "", f"{story.minutes:.1f}", story.title) for story in chosen
        ]
        for line in terminal.table(("STORY", "DATE", "MIN", "TITLE"), rows, terminal.width()):
            click.echo(line)
    terminal.note_problems(bank.problems, most=len(bank.problems))
    if not bank.stories:
        terminal.note(f"there is no story that can be read in {bank.folder}.")
    elif not chosen:
        what = [f"has {wanted}"] if wanted else []
        what += ["lacks that section"] if missing else []
        terminal.note(f"none of the {len(bank.stories)} stories {' and '.join(what)}.")


def _lacks(story: Story, part: str | None) -> bool:
    if part is None:
        return True
    return bool(story.missing) if part == "any" else story.lacks(part)
