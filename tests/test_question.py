from __future__ import annotations

import pytest

from storybank.question import is_foreign, wants_no_story


@pytest.mark.parametrize(
    ("question", "wants"),
    [
        ("What is your salary expectation?", "figure"),
        ("Why this company?", "reasons"),
        ("Why Google?", "reasons"),
        ("why do you want to leave your job", "reasons"),
        ("Tell me about yourself.", "career"),
        ("Walk me through your résumé", "career"),
        ("When could you start?", "fact"),
        ("Where do you see yourself in five years?", "plan"),
    ],
)
def test_what_wants_no_story(question: str, wants: str) -> None:
    assert wants in (wants_no_story(question) or "")


@pytest.mark.parametrize(
    "question",
    [
        "Tell me about a time you negotiated your salary.",
        "conflict with coworker",
        "Has anyone given you hard criticism about yourself?",
        "How do you handle a difficult customer?",
        "Describe why our users came first in something you built.",
        "What would your last manager say about you?",
        "Give an example of why you asked for help.",
        "Ownership",
    ],
)
def test_what_a_story_may_answer(question: str) -> None:
    assert wants_no_story(question) is None


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        (
            "Erzählen Sie mir von einem Konflikt, den Sie mit der Leitung hatten und wie Sie ihn",
            True,
        ),
        ("Cuéntame de una vez que tuviste un conflicto con el jefe", True),
        (
            "Parlez-moi d'un échec et de ce que vous en avez appris dans les mois qui ont suivi",
            True,
        ),
        ("Warum wollen Sie bei uns arbeiten?", True),
        ("Was sind Ihre Schwächen?", True),
        ("Pourquoi cette entreprise?", True),
        ("困难的客户", True),
        ("Los Angeles office move", False),
        ("Опишите трудное решение", True),
        ("Tell me about a time you were wrong.", False),
        ("I moved from El Paso to Los Angeles for the job and they paid it", False),
        ("conflict with coworker", False),
        ("Nadège said 'ce n'est pas ma faute' and I asked her what she meant by that", False),
        ("", False),
    ],
)
def test_foreign(text: str, foreign: bool) -> None:
    assert is_foreign(text) is foreign
