"""Expected failures. Each composes its own sentence: what, where, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class StorybankError(Exception):
    """Base of all errors that a caller can expect; `str(error)` is one line for the user."""


class NoBankError(StorybankError):
    """No bank was found, or the folder that was named is none."""

    def __init__(self, where: str, *, named: bool, variable: str | None = None) -> None:
        where = f"'{where}' (from ${variable})" if variable else where or "''"
        if named:
            sentence = (
                f"{where} is not a story bank: it has no stories/ folder and no storybank.toml"
            )
        else:
            sentence = (
                f"no story bank in {where} or above it: no stories/ folder, no storybank.toml"
            )
        super().__init__(
            f"{sentence}. Make one with 'storybank init', or name one with --bank DIR."
        )


class EmptyBankError(StorybankError):
    """The bank has not one story that can be read."""

    def __init__(self, where: str, problems: int) -> None:
        if problems:
            advice = f"{_count(problems, 'file')} there cannot be read: see 'storybank list'."
        else:
            advice = "Write the first as a Markdown file there; 'storybank init' makes an example."
        super().__init__(f"there is no story in {where}. {advice}")


class NothingLeftError(StorybankError):
    """The filters leave no story to rank."""

    def __init__(self, filters: str, stories: int) -> None:
        super().__init__(
            f"none of the {_count(stories, 'story')} has {filters}. "
            "'storybank list' shows what there is."
        )


class UnknownStoryError(StorybankError):
    """A story was named that is not in the bank, or the name fits several."""

    def __init__(self, name: str, near: Sequence[str], *, ambiguous: bool = False) -> None:
        if ambiguous:
            sentence = f"'{name}' is the beginning of several stories: {', '.join(near)}."
        elif near:
            sentence = f"no story '{name}'. Did you mean {' or '.join(near)}?"
        else:
            sentence = f"no story '{name}'. 'storybank list' shows the stories there are."
        super().__init__(sentence)


class UnreadableStoryError(StorybankError):
    """A story was named whose file is in the bank, but cannot be read."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")


class EmptyQuestionError(StorybankError):
    """There is nothing to match."""

    def __init__(self, question: str) -> None:
        said = f"'{question}' has no letter and no digit" if question else "there is no question"
        super().__init__(f"{said}. Give one: storybank match time you changed your mind")


class UnreadableInputError(StorybankError):
    """A file or stream of questions is not text."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}. What is wanted is one question a line.")


class JudgmentsError(StorybankError):
    """A file of judgments, or a `place` in it, cannot be used; `reason` says what to do."""

    def __init__(self, path: str, reason: str, place: str | None = None) -> None:
        super().__init__(f"{path}, {place}: {reason}" if place else f"{path}: {reason}")


class NoJudgmentsError(StorybankError):
    """There is no question with a good answer to measure by."""

    def __init__(self, where: str, questions: int) -> None:
        if questions:
            sentence = f"of {_count(questions, 'question')} in {where}, none has a good answer"
            advice = "Give a story of at least one of them the grade 2 or 3."
        else:
            sentence = f"there is no judgment in {where}"
            advice = (
                "Record one with 'storybank match QUESTION --accept STORY', list questions in a "
                "story's front matter, or name a file: see 'storybank eval --help'."
            )
        super().__init__(f"{sentence}. {advice}")


class ConfigError(StorybankError):
    """storybank.toml cannot be used."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")


class UnknownEncoderError(StorybankError):
    """The encoder's name is not known."""

    def __init__(self, spec: str, known: Sequence[str]) -> None:
        super().__init__(f"no encoder '{spec}'. Choose from: {', '.join(known)}.")


class MissingExtraError(StorybankError):
    """A feature needs packages that are not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs more packages: pip install 'storybank[{extra}]'")


class ModelError(StorybankError):
    """A model cannot be loaded."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"the model {where} cannot be used: {reason}")


class DamagedIndexError(StorybankError):
    """The index file is not what storybank wrote; the caller rebuilds it."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"the index {path} is damaged ({reason}). Delete it; it is only a cache.")


class IndexUnavailableError(StorybankError):
    """SQLite refuses to work, for a reason that rebuilding does not mend."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"the index {path} cannot be used: {reason}.")


def _count(number: int, noun: str) -> str:
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number} {noun if number == 1 else plural}"
