"""Options and arguments that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    from storybank.bank import Bank
    from storybank.config import Config
    from storybank.selection import Selection

    Command = TypeVar("Command", bound=Callable[..., Any])

_BANK = "storybank.bank"


def _remember_bank(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    del param
    if value is not None:
        ctx.meta[_BANK] = value


def bank_option(command: Command) -> Command:
    """--bank, understood before and after the command's name; read it with `open_bank`."""
    return click.option(
        "--bank",
        metavar="DIR",
        type=click.Path(),
        expose_value=False,
        callback=_remember_bank,
        help="The bank; else $STORYBANK_BANK, else the nearest folder upwards that is one.",
    )(command)


def named_bank(ctx: click.Context) -> str | None:
    """What --bank says."""
    found: str | None = ctx.meta.get(_BANK)
    return found


def open_bank(ctx: click.Context) -> Bank:
    """The bank that the options, the environment or the working directory name."""
    from storybank.bank import Bank

    return Bank.open(named_bank(ctx))


def open_configured(ctx: click.Context) -> tuple[Bank, Config]:
    """The bank and its settings."""
    from storybank import config

    bank = open_bank(ctx)
    return bank, config.load(bank.root)


json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")

encoder_option = click.option(
    "--encoder",
    metavar="SPEC",
    help="onnx (bundled) or sentence-transformers:NAME_OR_PATH; else as in storybank.toml.",
)


def selection_options(command: Command) -> Command:
    """--tag, --value and --company; make them a Selection with `selection`."""
    for decorate in (
        click.option(
            "--company", metavar="C", help="Only stories of this company (a part will do)."
        ),
        click.option(
            "--value",
            "values",
            multiple=True,
            metavar="V",
            help="Only with this value (all, if repeated).",
        ),
        click.option(
            "--tag",
            "tags",
            multiple=True,
            metavar="T",
            help="Only with this tag (all, if repeated).",
        ),
    ):
        command = decorate(command)
    return command


def selection(tags: tuple[str, ...], values: tuple[str, ...], company: str | None) -> Selection:
    """The stories that `selection_options` chose."""
    from storybank.selection import Selection

    return Selection(tags, values, company)


class StoryName(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """A story's slug, the unique beginning of one, or a path; completed by the shell."""

    name = "story"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Slugs that begin so; none where there is no bank."""
        del param
        from click.shell_completion import CompletionItem

        from storybank.errors import StorybankError

        try:
            files, _ = open_bank(ctx).scan()
        except (StorybankError, OSError):
            return []
        return [CompletionItem(file.slug) for file in files if file.slug.startswith(incomplete)]
