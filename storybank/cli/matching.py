"""The command `storybank match`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from storybank.cli.options import (
    StoryName,
    bank_option,
    encoder_option,
    json_option,
    open_configured,
    selection,
    selection_options,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from storybank.match import Match, Matcher, Ranking
    from storybank.selection import Selection

_PASSAGE_LINES = 2
_INDENT = 4
_PLACES = {1: "first choice", 2: "backup"}
_USABLE = ("strong", "workable", "stretch")


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
@click.option(
    *("--not", "told"),
    multiple=True,
    type=StoryName(),
    help="Leave out a story, told already; say what is lost. May be given again.",
)
@click.option(
    "--accept", type=StoryName(), help="Record in judgments.jsonl that this story is the answer."
)
@click.option("--explain", is_flag=True, help="Show what each signal added to the score.")
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
    told: tuple[str, ...],
    accept: str | None,
    explain: bool,
) -> None:
    """Rank the stories that answer QUESTION best.

    The index is brought up to date first. Quotes around the question are optional.

    \b
      storybank match "Tell me about a time you were wrong"
      storybank match -n 3 --company norvane conflict with a coworker
      storybank match --batch questions.txt > answers.jsonl

    The score is the probability that an interviewer would take the story for a good answer; the fit
    is strong, workable, a stretch, or none. When nothing fits, that is said first.

    With --plain: rank, score, slug, title, minutes, company, date, section, passage.
    """
    text = " ".join(question).strip()
    _check_usage(ctx, text, is_batch=bool(batch), is_json=as_json, is_plain=plain)
    if batch and accept:
        raise click.UsageError("--accept goes with one question, not with --batch.", ctx)

    from storybank import encoders
    from storybank.cli import terminal

    bank, config = open_configured(ctx)
    loaded = encoders.load(encoder or config.encoder)
    limit = (config.results if number is None else number) or None
    wanted = selection(tags, values, company)

    from storybank.match import Matcher

    slugs = [bank.get(each)[0].slug for each in told]
    if accept:  # an unknown one is told before anything else
        bank.get(accept)
    matcher = Matcher(bank, loaded, terminal.progress())
    ctx.call_on_close(matcher.index.close)
    if batch:
        _answer_batch(matcher, batch, limit, wanted, slugs)
    else:
        ranking = matcher.match(text, limit, wanted, slugs)
        if as_json:
            terminal.print_json(ranking.as_dict())
        else:
            for remark in ranking.remarks:
                terminal.note(remark)
            click.echo(_plain(ranking) if plain else _text(ranking, explain=explain), nl=False)
            for each in ranking.left_out:
                terminal.note(_lost(each))
        if accept:
            from storybank.evaluation import accept as record

            path = record(bank, text, accept)
            terminal.note(f"recorded in {path}; 'storybank eval' measures with it.")
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


def _answer_batch(
    matcher: Matcher, batch: str, limit: int | None, wanted: Selection, told: Sequence[str]
) -> None:
    """One line of JSON for each line that is not blank."""
    from storybank.cli import terminal
    from storybank.errors import EmptyQuestionError

    for line in _questions(batch):
        try:
            ranking = matcher.match(line, limit, wanted, told)
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


def _lost(match: Match) -> str:
    """What leaving out a story costs."""
    place = f"would have been number {match.rank}, {match.score:.2f}"
    return f"left out '{match.story.title}', which {place}."


def _text(ranking: Ranking, *, explain: bool) -> str:
    from storybank.cli import terminal

    columns = terminal.width()
    indent = " " * _INDENT
    room = columns - _INDENT
    output = []
    for each in ranking.matches:
        score = f"{each.fit or ''} {terminal.bar(each.score)} {each.score:.2f}".lstrip()
        title = terminal.pad(terminal.clean(each.story.title), room - terminal.cells(score) - 1)
        facts = terminal.story_facts(
            _PLACES.get(each.rank) if each.fit in _USABLE else None,
            each.story.slug,
            f"{each.story.minutes} min",
            each.story.company,
            each.story.date,
        )
        output.append(
            f"{each.rank:>2}  {click.style(title, bold=True)} {click.style(score, fg='cyan')}"
        )
        output.append(indent + click.style(terminal.cut(facts, room), dim=True))
        if each.passages:
            best = each.passages[0]
            output += [
                indent + line
                for line in terminal.lines(f"{best.section}: {best.text}", room, _PASSAGE_LINES)
            ]
        if explain:
            parts = ", ".join(f"{name} {part:+.2f}" for name, part in each.parts.items())
            output += [indent + line for line in terminal.lines(f"Log-odds: {parts}", room, 3)]
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
