from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storybank.bank import Bank
from storybank.errors import NoBankError, UnknownStoryError, UnreadableStoryError

if TYPE_CHECKING:
    from tests.conftest import BankMaker


def codes(bank: Bank) -> dict[str, str]:
    return {problem.path: problem.code for problem in bank.problems}


def test_nearest_folder_upwards(make_bank: BankMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_bank({"deep/er/x.md": "Text"})
    monkeypatch.chdir(root / "stories" / "deep" / "er")
    assert Path(Bank.open().root) == root


def test_environment_and_argument(make_bank: BankMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = make_bank(name="one"), make_bank(name="two")
    monkeypatch.setenv("STORYBANK_BANK", str(one))
    assert Path(Bank.open().root) == one
    assert Path(Bank.open(two).root) == two


def test_a_settings_file_makes_a_bank(tmp_path: Path) -> None:
    (tmp_path / "storybank.toml").touch()
    assert Bank.open(tmp_path).stories == ()


def test_no_bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoBankError, match="is not a story bank"):
        Bank.open(tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoBankError, match="storybank init"):
        Bank.open()


def test_only_visible_markdown_files_are_stories(make_bank: BankMaker) -> None:
    bank = Bank.open(
        make_bank(
            {
                "a.md": "Text",
                "B.MD": "Text",
                "sub/c.md": "Text",
                "note.txt": "no",
                ".hidden.md": "no",
                ".obsidian/d.md": "no",
            }
        )
    )
    assert [story.slug for story in bank.stories] == ["B", "a", "c"]
    assert [story.path for story in bank.stories] == [
        "stories/B.MD",
        "stories/a.md",
        "stories/sub/c.md",
    ]
    assert not bank.problems


def test_what_cannot_be_read_is_a_problem_and_the_rest_still_works(make_bank: BankMaker) -> None:
    root = make_bank({"good.md": "Text", "empty.md": "", "latin.md": "Größe".encode("latin-1")})
    stories = root / "stories"
    (stories / "folder.md").mkdir()
    (stories / "folder.md" / "inside.md").write_text("not read")
    (stories / "nowhere.md").symlink_to("missing.md")
    (stories / "round.md").symlink_to("round.md")
    (stories / "large.md").write_bytes(b"word " * 1_000_000)
    os.mkfifo(stories / "pipe.md")
    bank = Bank.open(root)
    assert [story.slug for story in bank.stories] == ["good"]
    assert codes(bank) == {
        "stories/empty.md": "SB006",
        "stories/folder.md": "SB001",
        "stories/large.md": "SB004",
        "stories/latin.md": "SB005",
        "stories/nowhere.md": "SB002",
        "stories/pipe.md": "SB003",
        "stories/round.md": "SB002",
    }
    assert "5.0 MB" in next(each.message for each in bank.problems if each.code == "SB004")


def test_a_name_that_is_not_utf8(make_bank: BankMaker) -> None:
    root = make_bank({"good.md": "Text"})
    with open(os.fsencode(root / "stories") + b"/b\xe4d.md", "w") as file:
        file.write("Text")
    bank = Bank.open(root)
    assert [story.slug for story in bank.stories] == ["good"]
    assert list(codes(bank).values()) == ["SB003"]


def test_links_are_followed_and_loops_are_not(make_bank: BankMaker) -> None:
    root = make_bank({"sub/a.md": "Text"})
    outside = root.parent / "outside.md"
    outside.write_text("Text")
    (root / "stories" / "b.md").symlink_to(outside)
    (root / "stories" / "sub" / "loop").symlink_to(root / "stories", target_is_directory=True)
    bank = Bank.open(root)
    assert [story.slug for story in bank.stories] == ["b", "a"]
    assert not bank.problems


def test_two_files_of_one_name_keep_two_slugs(make_bank: BankMaker) -> None:
    bank = Bank.open(make_bank({"a.md": "One", "sub/a.md": "Two"}))
    assert [story.slug for story in bank.stories] == ["a", "sub/a"]
    assert codes(bank) == {"stories/sub/a.md": "SB007"}
    assert bank.get("sub/a")[0].path == "stories/sub/a.md"
    assert bank.get("stories/sub/a.md")[0].slug == "sub/a", "it has a problem, but can be read"


def test_names_that_differ_in_the_suffix_only(make_bank: BankMaker) -> None:
    bank = Bank.open(make_bank({"a.md": "One", "a.MD": "Two", "a.Md": "Three"}))
    assert len({story.slug for story in bank.stories}) == 3


def test_get(make_bank: BankMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_bank({"queue.md": "One", "quiet.md": "Two", "sub/other.md": "Three", "no.md": ""})
    bank = Bank.open(root)
    monkeypatch.chdir(root / "stories" / "sub")
    for name, slug in {
        "queue": "queue",
        "que": "queue",
        "QUE": "queue",
        "other.md": "other",
        "stories/quiet.md": "quiet",
        "quiet.md": "quiet",
        str(root / "stories" / "queue.md"): "queue",
    }.items():
        assert bank.get(name)[0].slug == slug
    with pytest.raises(UnknownStoryError, match="queue, quiet"):
        bank.get("qu")
    with pytest.raises(UnknownStoryError, match="Did you mean queue"):
        bank.get("queeu")
    with pytest.raises(UnknownStoryError, match="storybank list"):
        bank.get("zzzzzz")
    with pytest.raises(UnknownStoryError):
        bank.get("")
    with pytest.raises(UnreadableStoryError, match="is empty"):
        bank.get("no")
