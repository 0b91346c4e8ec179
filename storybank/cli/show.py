"""The command `storybank show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from storybank.cli.options import StoryName, bank_option, json_option, open_bank

if TYPE_CHECKING:
    from storybank.story import Story


@click.command()
@click.argument("story", type=StoryName())
@json_option
@bank_option
@click.pass_context
def show(ctx: click.Context, story: str, as_json: bool) -> None:
    """Show one STORY: a slug, the beginning of one, or a path.

    \b
      storybank show six-minutes-of-empty-shelves
      storybank show six
      storybank show stories/six-minutes-of-empty-shelves.md --json
    """
    from storybank.cli import terminal

    found, problems = open_bank(ctx).get(story)
    if as_json:
        terminal.print_json({**found.as_dict(), "problems": [each.as_dict() for each in problems]})
        return
    click.echo(_text(found), nl=False)
    terminal.note_problems(problems, most=len(problems))


def _text(story: Story) -> str:
    from storybank.cli import terminal
    from storybank.markdown import without_comments

    facts = terminal.story_facts(story.company, story.role, story.date, f"{story.minutes} min")
    title = click.style(terminal.clean(story.title), bold=True)
    output = [title, facts, terminal.clean(story.path)]
    labels = {
        "values": " | ".join(story.values),  # names hold commas and semicolons
        "tags": ", ".join(story.tags),
        "questions": " | ".join(story.questions),
        "hook": story.hook,
        "strength": f"{story.strength} of 5" if story.strength else None,
        "status": story.status,
        "confidential": "yes" if story.confidential else None,
        **{key: _flat(value) for key, value in story.extra.items()},
    }
    for key, value in labels.items():
        if value:
            output += terminal.wrapped(terminal.clean(f"{key}: {value}"), terminal.width())
    for section in story.sections:
        output += ["", click.style(terminal.clean(section.label), bold=True)]
        output += terminal.wrapped(without_comments(section.text), terminal.width())
    return "\n".join(output) + "\n"


def _flat(value: object) -> str:
    """An unknown key's value on one line."""
    if isinstance(value, str):
        return value
    import json

    return json.dumps(value, ensure_ascii=False)
