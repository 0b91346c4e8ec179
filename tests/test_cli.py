"""Each command as a user meets it, with wrong input too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from storybank import __version__
from storybank.fusion import FITS, SIGNALS, Fusion
from storybank.story import KINDS
from tests.conftest import ROOT, BankMaker, Runner

if TYPE_CHECKING:
    from pathlib import Path

TWO = {
    "queue.md": "---\ntitle: The queue\ncompany: Norvane\ndate: 2022\ntags: [ops]\n"
    "values: [Dive Deep]\nmood: grey\n---\n## Situation\nIt grew.\n## Action\nI cut it.\n",
    "quiet.md": "## Task\nBe quiet.\n## Result\nWe were.\n",
}
COMMANDS = ["eval", "index", "init", "list", "match", "new", "show"]


def test_version(run: Runner) -> None:
    assert run("--version").stdout == f"storybank {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(run: Runner, command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"  storybank {command}" in result.stdout
    assert max(len(line) for line in result.stdout.splitlines()) <= 80


def test_every_command_is_listed(run: Runner) -> None:
    listed = run("--help").stdout.partition("Commands:")[2]
    assert [line.split()[0] for line in listed.splitlines() if line.strip()] == COMMANDS


@pytest.mark.parametrize(
    "arguments",
    [
        ("--bank", "{bank}", "list"),
        ("list", "--bank", "{bank}"),
        ("--bank", "/nowhere", "list", "--bank", "{bank}"),
    ],
)
def test_bank_before_and_after_the_command(
    run: Runner, make_bank: BankMaker, arguments: tuple[str, ...]
) -> None:
    bank = str(make_bank(TWO))
    assert "queue" in run(*(each.format(bank=bank) for each in arguments)).stdout


@pytest.mark.parametrize("command", [("list",), ("match", "x"), ("index",), ("show", "x")])
def test_no_bank(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*command)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("storybank: no story bank in ")
    assert result.stderr.count("\n") == 1


def test_match_says_where_the_bank_is_empty(run: Runner, make_bank: BankMaker) -> None:
    bank = make_bank()
    result = run("match", "--bank", bank, "a question")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"storybank: there is no story in {bank / 'stories'}.")


@pytest.mark.parametrize("question", [(), ("",), ("  ", "")])
def test_match_without_a_question(
    run: Runner, make_bank: BankMaker, question: tuple[str, ...]
) -> None:
    result = run("match", "--bank", make_bank(TWO), *question)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("storybank: there is no question.")


def test_a_question_without_words(run: Runner, make_bank: BankMaker) -> None:
    result = run("match", "--bank", make_bank(TWO), "?!")
    assert result.exit_code == 2
    assert result.stderr.startswith("storybank: '?!' has no letter and no digit.")


def test_match_shows_what_it_promises(run: Runner, make_bank: BankMaker) -> None:
    result = run("match", "--bank", make_bank(TWO), "when", "did", "you", "cut", "it")
    first = result.stdout.split("\n\n")[0].splitlines()
    assert first[0].startswith(" 1  The queue")
    assert "█" in first[0]
    assert first[1].strip() == "first choice · queue · 0.0 min · Norvane · 2022"
    assert first[2].strip() == "Action: I cut it."
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert "'The queue' is the nearest, but thin: it has only 5 words" in result.stderr


def test_quotes_are_optional(run: Runner, make_bank: BankMaker) -> None:
    bank = make_bank(TWO)
    quoted = run("match", "--bank", bank, "time you cut it", "--json").stdout
    assert run("match", "--bank", bank, "time", "you", "cut", "it", "--json").stdout == quoted


@pytest.mark.parametrize("width", [40, 80, 200])
def test_lines_fit_the_terminal(
    run: Runner, make_bank: BankMaker, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    from wcwidth import wcswidth

    monkeypatch.setenv("COLUMNS", str(width))
    bank = make_bank(
        {
            "a.md": "---\ntitle: 昨年の冬に倉庫で起きたことと私が学んだことのすべてについての話\n"
            "company: Übergrößenträger & Söhne \N{EN DASH} Filiale Köln\n---\n" + "字" * 300,
            "b.md": f"# {'An endless title that goes on ' * 9}\n{'word ' * 90}",
        }
    )
    for command in (("match", "the question"), ("list",)):
        result = run("--bank", bank, *command)
        assert result.exit_code == 0
        assert max(wcswidth(line) for line in result.stdout.splitlines()) <= min(width, 100)


def test_no_letter_of_a_story_commands_the_terminal(run: Runner, make_bank: BankMaker) -> None:
    bank = make_bank({"a.md": '---\ntitle: "\\e[31mred\\a"\n---\nText \x1b]0;evil\x07 more\n'})
    for command in (("match", "text"), ("match", "--plain", "text"), ("list",), ("show", "a")):
        output = run("--bank", bank, *command).output
        assert "\x1b" not in output
        assert "\x07" not in output


def test_plain_is_one_line_a_story(run: Runner, make_bank: BankMaker) -> None:
    result = run("match", "--plain", "--bank", make_bank(TWO), "cut it")
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == ["1", "2"]
    assert rows[0][2:] == ["queue", "The queue", "0.0", "Norvane", "2022", "Action", "I cut it."]


def test_json_is_what_was_promised(run: Runner, make_bank: BankMaker) -> None:
    bank = make_bank({**TWO, "broken.md": b"\xff"})
    result = run("match", "--json", "-n", "0", "--bank", bank, "when did you cut it")
    assert result.stderr == ""
    answer = json.loads(result.stdout)
    assert list(answer) == ["question", "verdict", "matches", "problems", "encoder", "remarks"]
    assert answer["question"] == "when did you cut it"
    assert answer["encoder"] == Fusion.load().encoder
    assert [list(each) for each in answer["matches"]] == [
        [
            *("rank", "story", "title", "path", "score", "fit", "passages", "values", "tags"),
            *("minutes", "signals"),
        ]
    ] * 2
    first = answer["matches"][0]
    assert 0 < first.pop("score") < 1
    assert list(first.pop("signals")) == list(SIGNALS)
    assert first["fit"] == answer["verdict"]
    assert first.pop("fit") in FITS
    passages = first.pop("passages")
    assert passages[0]["section"] == "Action"
    assert passages[0]["text"] == "I cut it."
    assert 0 < passages[0]["score"] <= 1
    assert first == {
        "rank": 1,
        "story": "queue",
        "title": "The queue",
        "path": "stories/queue.md",
        "values": ["Dive Deep"],
        "tags": ["ops"],
        "minutes": 0.0,
    }
    assert answer["problems"] == [
        {
            "path": "stories/broken.md",
            "line": 1,
            "code": "SB005",
            "message": "the file is not UTF-8 text (byte 0xff): save it as UTF-8 in your editor",
        }
    ]


def test_batch_answers_in_order(run: Runner, make_bank: BankMaker) -> None:
    bank = make_bank(TWO)
    result = run("match", "--batch", "-", "-n", "1", "--bank", bank, stdin="cut it\n\nbe quiet\n")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["question"] for answer in answers] == ["cut it", "be quiet"]
    assert [answer["matches"][0]["story"] for answer in answers] == ["queue", "quiet"]
    single = run("match", "--json", "-n", "1", "--bank", bank, "cut it")
    assert json.loads(single.stdout) == answers[0]


def test_batch_answers_every_line_that_is_not_blank(run: Runner, make_bank: BankMaker) -> None:
    text = "\ufeffcut it\r\n\r\n???\r\nbe quiet"
    result = run("match", "--batch", "-", "--bank", make_bank(TWO), stdin=text.encode())
    assert result.exit_code == 0
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["question"] for answer in answers] == ["cut it", "???", "be quiet"]
    assert [len(answer["matches"]) for answer in answers] == [2, 0, 2]


def test_json_is_utf8_whatever_the_terminal_speaks(make_bank: BankMaker) -> None:
    bank = make_bank({"a.md": "# Größe\nText \N{EN DASH} so."})
    for command in (["match", "x"], ["list"], ["show", "a"], ["index"]):
        answer = subprocess.run(
            [sys.executable, "-m", "storybank", *command, "--json", "--bank", bank],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        )
        json.loads(answer.stdout.decode("utf-8"))


def test_a_question_that_is_not_utf8(make_bank: BankMaker) -> None:
    answer = subprocess.run(
        [
            sys.executable,
            "-m",
            "storybank",
            "match",
            b"bad \xff question",
            "--bank",
            make_bank(TWO),
        ],
        check=True,
        capture_output=True,
    )
    assert b"The queue" in answer.stdout


def test_options_that_contradict_each_other(run: Runner, make_bank: BankMaker) -> None:
    result = run("match", "x", "--plain", "--json", "--bank", make_bank(TWO))
    assert result.exit_code == 2
    assert "--plain goes with neither" in result.stderr


def test_batch_with_wrong_input(run: Runner, make_bank: BankMaker, tmp_path: Path) -> None:
    bank = make_bank(TWO)
    result = run("match", "--bank", bank, "--batch", tmp_path / "missing.txt")
    assert result.exit_code == 2
    assert "missing.txt" in result.stderr
    (tmp_path / "latin.txt").write_bytes("Größe?\n".encode("latin-1"))
    result = run("match", "--bank", bank, "--batch", tmp_path / "latin.txt")
    assert result.exit_code == 2
    assert "is not UTF-8 text" in result.stderr
    result = run("match", "--bank", bank, "--batch", "-", "and a question", stdin="x\n")
    assert result.exit_code == 2
    assert "not both" in result.stderr


@pytest.mark.parametrize(
    ("options", "slugs"),
    [
        (("--tag", "OPS"), ["queue"]),
        (("--value", "amazon/dive-deep"), ["queue"]),
        (("--company", "norv"), ["queue"]),
        ((), ["queue", "quiet"]),
    ],
)
def test_filters(
    run: Runner, make_bank: BankMaker, options: tuple[str, ...], slugs: list[str]
) -> None:
    bank = make_bank(TWO)
    listed = json.loads(run("list", "--json", "--bank", bank, *options).stdout)
    assert [each["story"] for each in listed["stories"]] == slugs
    ranked = json.loads(run("match", "cut it", "--json", "--bank", bank, *options).stdout)
    assert [each["story"] for each in ranked["matches"]] == slugs


def test_filters_that_leave_nothing(run: Runner, make_bank: BankMaker) -> None:
    bank = make_bank(TWO)
    result = run("match", "x", "--tag", "fish", "--bank", bank)
    assert result.exit_code == 2
    assert "none of the 2 stories has the tag 'fish'" in result.stderr
    result = run("list", "--tag", "fish", "--bank", bank)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "none of the 2 stories" in result.stderr


@pytest.mark.parametrize(
    ("part", "slugs"), [("task", ["queue"]), ("Situation", ["quiet"]), ("any", ["queue", "quiet"])]
)
def test_missing_sections(run: Runner, make_bank: BankMaker, part: str, slugs: list[str]) -> None:
    listed = run("list", "--json", "--section-missing", part, "--bank", make_bank(TWO))
    assert [each["story"] for each in json.loads(listed.stdout)["stories"]] == slugs


def test_list_names_problems_on_stderr(run: Runner, make_bank: BankMaker) -> None:
    result = run("list", "--bank", make_bank({**TWO, "empty.md": ""}))
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["STORY", "queue", "quiet"]
    assert result.stderr == "stories/empty.md:1: SB006 the file is empty\n"


def test_show(run: Runner, make_bank: BankMaker) -> None:
    result = run("show", "que", "--bank", make_bank(TWO))
    assert result.stdout.splitlines() == [
        "The queue",
        "Norvane · 2022 · 0.0 min",
        "stories/queue.md",
        "values: Dive Deep",
        "tags: ops",
        "mood: grey",
        "",
        "Situation",
        "It grew.",
        "",
        "Action",
        "I cut it.",
    ]


def test_show_wraps_between_words_and_leaves_out_remarks(
    run: Runner, make_bank: BankMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = f"<!-- what\n\ndid you do? -->\n- {'word ' * 12}\n- short <!-- no -->\n{'x' * 50}\n"
    result = run("show", "a", "--bank", make_bank({"a.md": text}))
    assert result.stdout.split("Story\n")[1].splitlines() == [
        "- word word word word word word word",
        "  word word word word word",
        "- short",
        "x" * 50,
    ]


def test_show_json(run: Runner, make_bank: BankMaker) -> None:
    answer = json.loads(run("show", "queue", "--json", "--bank", make_bank(TWO)).stdout)
    assert answer["extra"] == {"mood": "grey"}
    assert answer["missing"] == ["task", "result"]
    assert answer["sections"][1] == {
        "heading": "Action",
        "kinds": ["action"],
        "text": "I cut it.",
        "line": 11,
    }


def test_show_names_near_misses(run: Runner, make_bank: BankMaker) -> None:
    result = run("show", "quuee", "--bank", make_bank(TWO))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "storybank: no story 'quuee'. Did you mean queue or quiet?\n"


def test_index(run: Runner, make_bank: BankMaker) -> None:
    bank = make_bank(TWO)
    assert run("index", "--bank", bank).stdout == "+ 2 added  ~ 0 changed  - 0 removed  = 0 kept\n"
    (bank / "stories" / "quiet.md").unlink()
    answer = json.loads(run("index", "--bank", bank, "--json").stdout)
    assert [answer[key] for key in ("added", "changed", "removed", "kept")] == [0, 0, 1, 1]
    assert run("index", "--rebuild", "--bank", bank).stdout.startswith("+ 1 added")


def test_init_makes_a_bank_that_works(run: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "my bank"
    assert run("init", folder).exit_code == 0
    assert sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    ) == [
        ".gitignore",
        "stories/example.md",
        "storybank.toml",
    ]
    listed = json.loads(run("list", "--json", "--bank", folder).stdout)
    assert listed["problems"] == []
    assert listed["stories"][0]["missing"] == []
    ranked = run("match", "went out of your way for a customer", "--json", "--bank", folder)
    answer = json.loads(ranked.stdout)
    assert answer["matches"][0]["story"] == "example"
    assert "<!--" not in ranked.stdout
    assert ".storybank/" in (folder / ".gitignore").read_text().splitlines()


def test_init_where_bank_says(run: Runner, tmp_path: Path) -> None:
    assert run("--bank", tmp_path / "one", "init").exit_code == 0
    assert run("init", "--bank", tmp_path / "two").exit_code == 0
    assert (tmp_path / "one/stories").is_dir()
    assert (tmp_path / "two/stories").is_dir()


def test_init_never_overwrites(run: Runner, make_bank: BankMaker) -> None:
    bank = make_bank(TWO)
    (bank / "storybank.toml").write_text("results = 1\n")
    result = run("init", bank)
    assert f"kept {bank / 'storybank.toml'}" in result.stdout
    assert (bank / "storybank.toml").read_text() == "results = 1\n"
    assert not (bank / "stories" / "example.md").exists(), "a bank with stories needs no example"


def test_init_where_a_file_is_in_the_way(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "stories").write_text("a file")
    result = run("init", tmp_path)
    assert result.exit_code == 2
    assert "stories" in result.stderr
    assert (tmp_path / "stories").read_text() == "a file"


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("results = 'many'", "'results' should be"),
        ("results = -1", "'results' should be"),
        ("encoder = 1", "'encoder' should be"),
        ("colour = 1", "no setting 'colour'. Choose from: encoder, results."),
        ("results = ", "is not valid TOML"),
        ("encoder = 'unknown'", "no encoder 'unknown'"),
    ],
)
def test_wrong_settings(run: Runner, make_bank: BankMaker, toml: str, message: str) -> None:
    bank = make_bank(TWO)
    (bank / "storybank.toml").write_text(toml)
    result = run("match", "x", "--bank", bank)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_settings_count(run: Runner, make_bank: BankMaker) -> None:
    bank = make_bank(TWO)
    (bank / "storybank.toml").write_text("results = 1\n")
    assert len(json.loads(run("match", "x", "--json", "--bank", bank).stdout)["matches"]) == 1


def test_encoders_that_are_not_there(
    run: Runner, make_bank: BankMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = make_bank(TWO)
    result = run("match", "x", "--encoder", "bm26", "--bank", bank)
    assert result.exit_code == 2
    assert "Choose from: onnx, sentence-transformers:NAME_OR_PATH." in result.stderr
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    result = run("match", "x", "--encoder", "sentence-transformers:some", "--bank", bank)
    assert result.exit_code == 2
    assert "pip install 'storybank[sentence-transformers]'" in result.stderr


def test_ctrl_c_ends_it_at_once_and_quietly(make_bank: BankMaker) -> None:
    stories = {f"{n}.md": f"Story {n}. {'Many words. ' * 100}" for n in range(400)}
    bank = make_bank(stories)
    process = subprocess.Popen(
        [sys.executable, "-m", "storybank", "match", "x", "--bank", bank],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (bank / ".storybank" / "index.db").exists():
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=5)[1] == ""
    assert process.returncode == -signal.SIGINT


def test_stories_are_completed(run: Runner, make_bank: BankMaker) -> None:
    from click.shell_completion import ShellComplete

    from storybank.cli import main

    bank = str(make_bank(TWO))
    complete = ShellComplete(main, {}, "storybank", "_STORYBANK_COMPLETE")
    for arguments in (["--bank", bank, "show"], ["show", "--bank", bank]):
        found = complete.get_completions(arguments, "qui")
        assert [each.value for each in found] == ["quiet"]
    assert complete.get_completions(["show", "--bank", "/nowhere"], "") == []
    del run


def test_the_sample_bank_is_sound(run: Runner) -> None:
    listed = json.loads(run("list", "--json", "--bank", ROOT).stdout)
    assert listed["problems"] == []
    assert len(listed["stories"]) >= 14
    assert sum(not each["values"] for each in listed["stories"]) >= 3
    kinds = {
        kind
        for each in listed["stories"]
        for section in json.loads(run("show", each["story"], "--json", "--bank", ROOT).stdout)[
            "sections"
        ]
        for kind in section["kinds"]
    }
    assert kinds == set(KINDS)


def test_what_was_told_already_is_left_out(run: Runner, make_bank: BankMaker) -> None:
    bank = make_bank(TWO)
    result = run("match", "--not", "que", "--bank", bank, "when did you cut it")
    assert "The queue" not in result.stdout
    assert "left out 'The queue', which would have been number 1" in result.stderr
    answer = json.loads(run("match", "--json", "--not", "queue", "--bank", bank, "cut it").stdout)
    assert [each["story"] for each in answer["matches"]] == ["quiet"]
    result = run("match", "--not", "quit", "--bank", bank, "cut it")
    assert result.exit_code == 2
    assert "Did you mean quiet" in result.stderr


def test_explain_shows_every_signal(run: Runner, make_bank: BankMaker) -> None:
    result = run("match", "--explain", "-n", "1", "--bank", make_bank(TWO), "cut it")
    told = " ".join(result.stdout.partition("Log-odds: ")[2].split())
    assert all(f"{name} " in told for name in SIGNALS)


def test_remarks_are_talk_not_data(run: Runner, make_bank: BankMaker) -> None:
    bank = make_bank(TWO)
    result = run("match", "--plain", "--bank", bank, "What is your salary expectation?")
    assert "not a question for a story" in result.stderr
    assert len(result.stdout.splitlines()) == 2
    answer = json.loads(run("match", "--json", "--bank", bank, "Why this company?").stdout)
    assert "your reasons" in answer["remarks"][0]


def test_accept_goes_with_one_question(run: Runner, make_bank: BankMaker) -> None:
    result = run("match", "--batch", "-", "--accept", "queue", "--bank", make_bank(TWO), stdin="a")
    assert result.exit_code == 2
    assert "--accept goes with one question" in result.stderr


def test_accept_is_recorded_and_measured(run: Runner, make_bank: BankMaker) -> None:
    bank = make_bank(TWO)
    result = run("match", "--accept", "nothing", "--bank", bank, "cut it")
    assert (result.exit_code, result.stdout) == (2, "")
    result = run("match", "--accept", "qui", "--bank", bank, "when was it quiet")
    assert "recorded in" in result.stderr
    recorded = (bank / "judgments.jsonl").read_text(encoding="utf-8")
    assert json.loads(recorded) == {"question": "when was it quiet", "story": "quiet", "grade": 3}
    answer = json.loads(run("eval", "--json", "--bank", bank).stdout)
    assert answer["measured"] == 1
    assert [each["ranker"] for each in answer["rankers"]] == ["BM25", "shipped"]
