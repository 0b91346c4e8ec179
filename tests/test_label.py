from __future__ import annotations

import pytest

from storybank.label import same_tag, same_value, slugify


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("Are Right, A Lot", "are-right-a-lot"),
        ("Have Backbone; Disagree and Commit", "have-backbone-disagree-and-commit"),
        ("Strive to be Earth's Best Employer", "strive-to-be-earths-best-employer"),
        ("sensor_logs", "sensor-logs"),
        ("Größe!", "grösse"),
        ("...", "..."),
        ("C++", "c++"),
        ("cafe\u0301", "café"),
    ],
)
def test_slugs(text: str, slug: str) -> None:
    assert slugify(text) == slug


@pytest.mark.parametrize(
    ("wanted", "label"),
    [
        ("dive-deep", "amazon/dive-deep"),
        ("Dive Deep", "amazon/dive-deep"),
        ("amazon/dive-deep", "Dive Deep"),
        ("amazon/ownership", "Amazon-LP:Ownership"),
        ("have backbone disagree and commit", "Have Backbone; Disagree and Commit"),
    ],
)
def test_the_same(wanted: str, label: str) -> None:
    assert same_value(wanted, label)


@pytest.mark.parametrize(
    ("wanted", "label"),
    [("google/ownership", "amazon/ownership"), ("owner", "ownership"), ("deep", "dive-deep")],
)
def test_not_the_same(wanted: str, label: str) -> None:
    assert not same_value(wanted, label)


def test_tags_have_no_framework_and_symbols_count() -> None:
    assert same_tag("Sensor Logs", "sensor-logs")
    for one, other in [("C++", "C#"), ("c", "C++"), ("7", "24/7"), ("\N{ROCKET}", "!!!")]:
        assert not same_tag(one, other)
