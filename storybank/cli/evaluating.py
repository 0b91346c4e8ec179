"""The command `storybank eval`."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

import click

from storybank.cli.options import bank_option, encoder_option, json_option, open_configured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storybank.evaluation import Evaluation

_HEADINGS = ("ranker", "hit@1", "hit@3", "MRR", "nDCG@5", "false noes")


@click.command("eval")
@click.argument("judgments", type=click.Path(), required=False)
@encoder_option
@json_option
@bank_option
@click.pass_context
def evaluate(ctx: click.Context, judgments: str | None, encoder: str | None, as_json: bool) -> None:
    """Measure how well your own stories are matched.

    JUDGMENTS says which story answers which question: JSON Lines or CSV with question, story and
    grade, or a JSON object {question: {story: grade}}. A story is a slug or a path. Grades: 3 the
    story to tell (also without a grade), 2 a good answer, 1 a stretch, 0 none. Without JUDGMENTS,
    they are those in the bank's judgments.jsonl, and the questions that the stories list.

    \b
      storybank eval
      storybank eval judged.csv --json

    While a question is asked, no story lists it. The columns, over the questions with a good
    answer (grade 2 or 3): how often one is first, or among the first three; the mean of 1 / its
    rank; how near the first five are to the best order; how often the verdict was "none".
    The rankers: BM25, which knows only shared words; storybank as shipped; and storybank with
    another encoder, where one is named.
    """
    from storybank import encoders, evaluation
    from storybank.cli import terminal
    from storybank.config import DEFAULT_ENCODER

    bank, config = open_configured(ctx)
    if judgments is None:
        judged = evaluation.own_judgments(bank)
    else:
        judged = evaluation.read_judgments(bank, judgments)
    loaded = {"shipped": encoders.load(DEFAULT_ENCODER)}
    spec = encoder or config.encoder
    if spec != DEFAULT_ENCODER:
        loaded[spec] = encoders.load(spec)
    found = evaluation.evaluate(bank, judged, loaded, terminal.progress())
    if as_json:
        problems = [each.as_dict() for each in bank.problems]
        terminal.print_json({**found.as_dict(), "problems": problems})
    else:
        for line in _text(found):
            click.echo(line)
    for notice in found.notices:
        terminal.note(notice)
    if not as_json:
        terminal.note_problems(bank.problems)


def _text(found: Evaluation) -> Iterator[str]:
    from storybank.cli import terminal

    rows = [
        [
            each.ranker,
            *(f"{value:.2f}" for value in astuple(each.means)),
            "-" if each.false_noes is None else f"{each.false_noes:.2f}",
        ]
        for each in found.results
    ]
    yield from terminal.table(_HEADINGS, rows, terminal.width())
    plural = "" if found.measured == 1 else "s"
    yield ""
    measured = f"{found.measured} question{plural} measured"
    yield f"{measured}; left out, without a good answer: {found.unanswered}"
