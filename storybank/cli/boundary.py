"""The one place where an expected failure becomes a line on stderr and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import IO, Any

import click

from storybank.errors import StorybankError

FAILURE = 2


class Failure(click.ClickException):
    """One sentence for the user."""

    exit_code = FAILURE

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it, to stderr unless told otherwise."""
        message = "".join(each if each.isprintable() else " " for each in self.format_message())
        click.echo(f"storybank: {message}", file=file, err=file is None)


class Commands(click.Group):
    """A group whose commands may raise StorybankError, or OSError on a user's file."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  # as in click
        """Run the command; the only place that catches what it may raise."""
        _tame_output(ctx)
        try:
            return super().invoke(ctx)
        except StorybankError as error:
            raise Failure(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # `storybank list | head`: click knows what to do
                raise
            if isinstance(error, FileNotFoundError) and not error.filename:
                raise Failure("the working directory is gone; change to another.") from error
            where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
            raise Failure(f"{where}{error.strerror or error}") from error


def _tame_output(ctx: click.Context) -> None:
    """No colour where NO_COLOR is set; no crash where a terminal cannot show a letter."""
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # not every stream can be told
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # TextIO lacks it
