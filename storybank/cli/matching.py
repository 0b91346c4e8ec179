"""The command `storybank match`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from storybank.cli.options import (
    bank_option,
    encoder_option,
    json_option,
    open_configured,
    selection,
    selection_options,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storybank.match import Matcher, Ranking
    from storybank.selection import Selection

_PASSAGE_LINES = 2
_INDENT = 4


@click.command()
@click.argument("question", nargs=-1)
@click.option(
    *("-n", "--number", "number"),
    type=click.IntRange(min=0),
    help="How many stories to show; 0 shows all. Else as in storybank.toml, else 5.",
)
@selection_options
@encoder_option
@json_option
@click.option("--plain", is_flag=True, help="One line a story, fields separated by tabs.")
@click.option(
    "--batch",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="Questions, one a line ('-' for stdin); the answers as JSON Lines, in order.",
)
@bank_option
@click.pass_context
def match(
    ctx: click.Context,
    question: tuple[str, ...],
    number: int | None,
    tags: tuple[str, ...],
    values: tuple[str, ...],
    company: str | None,
    encoder: str | None,
    as_json: bool,
    plain: bool,
    batch: str | None,
) -> None:
    """Rank the stories that answer QUESTION best.

    The index is brought up to date first. Quotes around the question are optional.

    \b
      storybank match "Tell me about a time you were wrong"
      storybank match -n 3 --company norvane conflict with a coworker
      storybank match --batch questions.txt > answers.jsonl

    The score (0 to 1) joins how near a story's meaning is to the question with the words they
    share. It orders the stories; it is not a probability.

    With --plain: rank, score, slug, title, minutes, company, date, section, passage.
    """
    text = " ".join(question).strip()
    _check_usage(ctx, text, is_batch=bool(batch), is_json=as_json, is_plain=plain)

    from storybank import encoders
    from storybank.cli import terminal

    bank, config = open_configured(ctx)
    loaded = encoders.load(encoder or config.encoder)
    limit = (config.results if number is None else number) or None
    wanted = selection(tags, values, company)

    from storybank.match import Matcher

    matcher = Matcher(bank, loaded, terminal.progress())
    ctx.call_on_close(matcher.index.close)
    if batch:
        _answer_batch(matcher, batch, limit, wanted)
    else:
        ranking = matcher.match(text, limit, wanted)
        if as_json:
            terminal.print_json(ranking.as_dict())
        else:
            click.echo((_plain if plain else _text)(ranking), nl=False)
    for notice in matcher.index.notices:
        terminal.note(notice)
    if not as_json and not batch:
        terminal.note_problems(matcher.index.problems)


def _check_usage(
    ctx: click.Context, question: str, *, is_batch: bool, is_json: bool, is_plain: bool
) -> None:
    """Refuse what contradicts itself before anything is loaded."""
    from storybank.errors import EmptyQuestionError

    if is_batch and question:
        raise click.UsageError("give a question or --batch, not both.", ctx)
    if is_plain and (is_json or is_batch):
        raise click.UsageError("--plain goes with neither --json nor --batch.", ctx)
    if not is_batch and not question:
        raise EmptyQuestionError(question)


def _answer_batch(matcher: Matcher, batch: str, limit: int | None, wanted: Selection) -> None:
    """One line of JSON for each line that is not blank."""
    from storybank.cli import terminal
    from storybank.errors import EmptyQuestionError

    for line in _questions(batch):
        try:
            ranking = matcher.match(line, limit, wanted)
        except EmptyQuestionError:
            ranking = matcher.without(line)
        terminal.print_json(ranking.as_dict())


def _questions(batch: str) -> Iterator[str]:
    """The lines that hold something, as they come."""
    from storybank.errors import UnreadableInputError

    if batch == "-" and sys.stdin is None:
        raise UnreadableInputError("stdin", "is closed")
    try:
        with click.open_file(batch, encoding="utf-8") as lines:
            for line in lines:
                question = line.strip("\ufeff \t\r\n")
                if question:
                    yield question
    except UnicodeDecodeError as error:
        name = "stdin" if batch == "-" else batch
        raise UnreadableInputError(name, "is not UTF-8 text; save it as UTF-8") from error


def _text(ranking: Ranking) -> str:
    from storybank.cli import terminal

    columns = terminal.width()
    indent = " " * _INDENT
    output = []
    for each in ranking.matches:
        score = f"{terminal.bar(each.score)} {each.score:.2f}"
        title = terminal.pad(
            terminal.clean(each.story.title), columns - _INDENT - terminal.cells(score) - 1
        )
        facts = terminal.story_facts(
            each.story.slug, f"{each.story.minutes} min", each.story.company, each.story.date
        )
        output.append(
            f"{each.rank:>2}  {click.style(title, bold=True)} {click.style(score, fg='cyan')}"
        )
        output.append(indent + click.style(terminal.cut(facts, columns - _INDENT), dim=True))
        if each.passages:
            best = each.passages[0]
            passage = terminal.lines(
                f"{best.section}: {best.text}", columns - _INDENT, _PASSAGE_LINES
            )
            output += [indent + line for line in passage]
        output.append("")
    return "\n".join(output)


def _plain(ranking: Ranking) -> str:
    from storybank.cli import terminal

    output = []
    for each in ranking.matches:
        story = each.story
        best = each.passages[0] if each.passages else None
        fields = (
            *(str(each.rank), f"{each.score:.4f}", story.slug, story.title),
            *(str(story.minutes), story.company or "", story.date or ""),
            *((best.section, best.text) if best else ("", "")),
        )
        output.append("\t".join(terminal.clean(field) for field in fields) + "\n")
    return "".join(output)
