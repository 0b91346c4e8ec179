from __future__ import annotations

import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from storybank.bank import Bank
from storybank.encoders import Asked
from storybank.errors import StorybankError
from storybank.index import FAR, SHARPNESS, Index
from storybank.index.database import FILE, FOLDER
from storybank.index.update import IndexStats
from storybank.index.vectors import cosines, pack
from tests.toy import ToyEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from storybank.encoders import Told
    from tests.conftest import BankMaker

from storybank.match import Matcher
from storybank.problem import Problem

STORIES = {
    "apples.md": "---\ntitle: Apples\ntags: [fruit]\n---\n"
    "## Situation\nRed apples.\n## Result\nPie.",
    "pears.md": "## Situation\nGreen pears.\n## Result\nJuice.",
    "plums.md": "Blue plums.",
}


def update(root: Path, encoder: ToyEncoder | None = None) -> tuple[IndexStats, ToyEncoder, Index]:
    encoder = encoder or ToyEncoder()
    index = Index(Bank.open(root), encoder)
    return index.update(), encoder, index


def state(index: Index) -> object:
    """All that can be asked, for comparison."""
    query = ToyEncoder().ask("red pears in a pie")
    slugs = index.slugs()
    near = {slugs[identity]: each for identity, each in index.similarities(query).items()}
    words = {slugs[identity]: each for identity, each in index.words("red pears pie").items()}
    hits = {slug: index.hits(identity, query) for identity, slug in slugs.items()}
    tokens = {slugs[each]: near for each, near in index.tokens(sorted(slugs), query.tokens).items()}
    entries = {entry.slug: entry for entry in index.entries().values()}
    assert near.keys() == tokens.keys()
    return near, tokens, words, hits, entries, index.problems


def fresh_state(root: Path) -> object:
    (root / FOLDER / FILE).unlink()
    return state(update(root)[2])


def test_only_what_is_new_is_embedded(make_bank: BankMaker) -> None:
    root = make_bank(STORIES)
    stats, encoder, _ = update(root)
    assert stats == IndexStats(added=3)
    assert len(encoder.embedded) == 3
    stats, encoder, _ = update(root)
    assert stats == IndexStats(kept=3)
    assert not encoder.embedded


def test_an_edit_embeds_that_story_alone(make_bank: BankMaker) -> None:
    root = make_bank(STORIES)
    update(root)
    path = root / "stories" / "pears.md"
    path.write_text(path.read_text().replace("Juice.", "Cider."))
    stats, encoder, index = update(root)
    assert stats == IndexStats(changed=1, kept=2)
    assert encoder.embedded == ["pears Green pears. Cider."]
    assert state(index) == fresh_state(root)


def test_adding_removing_and_renaming(make_bank: BankMaker) -> None:
    root = make_bank(STORIES)
    update(root)
    stories = root / "stories"
    (stories / "plums.md").unlink()
    (stories / "apples.md").rename(stories / "fruit.md")
    (stories / "figs.md").write_text("Figs.")
    stats, encoder, index = update(root)
    assert stats == IndexStats(added=2, removed=2, kept=1)
    assert encoder.embedded == ["figs Figs."], "a renamed story is not embedded again"
    assert sorted(index.slugs().values()) == ["figs", "fruit", "pears"]
    assert state(index) == fresh_state(root)


def test_touching_a_file_changes_nothing(make_bank: BankMaker) -> None:
    root = make_bank(STORIES)
    update(root)
    os.utime(root / "stories" / "plums.md", (1, 1))
    stats, encoder, _ = update(root)
    assert stats == IndexStats(kept=3)
    assert not encoder.embedded


def test_same_size_and_time_but_other_text_is_noticed(make_bank: BankMaker) -> None:
    root = make_bank(STORIES)
    update(root)
    path = root / "stories" / "plums.md"
    before = path.stat()
    path.write_text("Blew plums.")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert update(root)[0] == IndexStats(changed=1, kept=2)


def test_a_story_that_breaks_is_removed_and_reported(make_bank: BankMaker) -> None:
    root = make_bank(STORIES)
    update(root)
    (root / "stories" / "plums.md").write_bytes(b"\xff\xfe")
    stats, _, index = update(root)
    assert stats == IndexStats(removed=1, kept=2)
    assert [(each.path, each.code) for each in index.problems] == [("stories/plums.md", "SB005")]
    assert update(root)[2].problems == index.problems, "problems are remembered"
    (root / "stories" / "plums.md").write_text("Blue plums.")
    stats, _, index = update(root)
    assert stats == IndexStats(added=1, kept=2)
    assert not index.problems


def test_vectors_of_two_encoders_never_mix(make_bank: BankMaker) -> None:
    root = make_bank(STORIES)
    update(root)
    stats, encoder, index = update(root, ToyEncoder("other"))
    assert stats == IndexStats(kept=3)
    assert len(encoder.embedded) == 3
    assert len(index.similarities(encoder.ask("pie"))) == 3
    assert not update(root)[1].embedded, "the first encoder's vectors are still there"


def test_evidence_is_what_it_says(make_bank: BankMaker) -> None:
    root = make_bank(
        {
            "a.md": "---\nquestions: [green pears]\nvalues: [x/red-pears]\ntags: [ink]\n---\n"
            "## Task\nPie.\n## Result\nPears.",
            "b.md": "---\ntags: [pears]\n---\nNothing.",
        }
    )
    _, encoder, index = update(root)
    asked = encoder.ask("green pears")
    query, whole, task, result = encoder.questions(
        ["green pears", "a Pie. Pears.", "Pie.", "Pears."]
    )
    slugs = index.slugs()
    found = {slugs[identity]: each for identity, each in index.similarities(asked).items()}
    near = [task @ query, result @ query]
    soft = math.log(sum(math.exp(SHARPNESS * each) for each in near)) / SHARPNESS
    soft -= math.log(2) / SHARPNESS / 2
    assert found["a"].whole == pytest.approx(whole @ query, abs=3e-3)
    assert found["a"].best == pytest.approx(soft, abs=3e-3)
    assert max(near) - 0.05 < found["a"].best < max(near) + 0.05
    assert found["a"].asked == pytest.approx(1.0, abs=3e-3), "its own questions stand apart"
    assert found["a"].labels == pytest.approx(0.5 - FAR, abs=3e-3), "a label is read as words"
    assert found["b"].labels == pytest.approx(0.5**0.5 - FAR, abs=3e-3)
    identities = {slug: identity for identity, slug in slugs.items()}
    assert [hit.section for hit in index.hits(identities["a"], asked)] == [
        *("Questions", "Result", "Labels"),
        *("Task", "Labels"),
    ]


def test_every_token_of_a_question_looks_for_its_nearest(make_bank: BankMaker) -> None:
    root = make_bank({"a.md": "Red pears. " * 200, "b.md": "Green apples.", "c.md": "Pears."})
    _, encoder, index = update(root)
    found = index.tokens(sorted(index.slugs()), encoder.ask("red red pears").tokens)
    near = {index.slugs()[identity]: each for identity, each in found.items()}
    assert near == pytest.approx({"a": 1.0, "b": 0.0, "c": 1 / 3}, abs=3e-3)
    assert index.tokens([], encoder.ask("red").tokens) == {}
    nothing = np.zeros((0, 0), np.float32)
    assert index.tokens(sorted(index.slugs()), nothing) == {}, "an encoder without tokens"


def test_stories_are_near_what_is_meant_and_questions_near_what_is_asked(
    make_bank: BankMaker,
) -> None:
    root = make_bank({"a.md": "---\nquestions: [red]\ntags: [blue]\n---\nBlue."})
    _, encoder, index = update(root)
    red, blue = encoder.questions(["red", "blue"])
    asked = Asked(whole=red, meant=blue, tokens=np.zeros((0, 0), np.float32))
    ((identity, found),) = index.similarities(asked).items()
    assert found.best > 0.9
    assert found.asked == pytest.approx(1.0, abs=3e-3)
    assert found.labels == pytest.approx(1 - FAR, abs=3e-3)
    assert [round(hit.cosine, 1) for hit in index.hits(identity, asked)] == [1.0, 1.0, 1.0]


def test_a_title_alone_is_its_own_best(make_bank: BankMaker) -> None:
    root = make_bank({"a.md": "---\ntitle: Green pears\n---\n"})
    _, encoder, index = update(root)
    (evidence,) = index.similarities(encoder.ask("green pears")).values()
    assert evidence.whole == evidence.best > 0.9
    assert (evidence.asked, evidence.labels) == (0, None)


def test_vectors_survive_being_stored() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows, scales = pack(vectors)
    assert len(rows) == vectors.size
    assert np.abs(cosines(rows, scales, vectors[0]) - vectors @ vectors[0]).max() < 4e-3
    with pytest.raises(ValueError, match="cannot reshape"):
        cosines(rows[:-1], scales, vectors[0])
    with pytest.raises(ValueError, match="length of 1"):
        cosines(rows, np.full(50, np.nan, np.float32).tobytes(), vectors[0])


def test_words_are_stemmed_and_stop_words_are_not_looked_up(make_bank: BankMaker) -> None:
    _, _, index = update(make_bank(STORIES))
    slugs = index.slugs()
    assert [slugs[each] for each in index.words("Tell me about an APPLE")] == ["apples"]
    assert [slugs[each] for each in index.words("fruit")] == ["apples"], "tags count"
    assert index.words("Tell me about a time when you") == {}
    assert index.words('"AND" NEAR(pear* -x:y ^ "') != {}, "no operator of the search language"


@pytest.mark.parametrize(
    "content", [b"", b"not a database at all, not even a little", b"\0" * 5000]
)
def test_a_damaged_file_is_made_anew(make_bank: BankMaker, content: bytes) -> None:
    root = make_bank(STORIES)
    good = state(update(root)[2])
    (root / FOLDER / FILE).write_bytes(content)
    stats, _, index = update(root)
    assert stats == IndexStats(added=3)
    assert state(index) == good
    assert len(index.notices) == (1 if content else 0)
    assert not update(root)[2].notices


def test_a_foreign_database_is_replaced(make_bank: BankMaker) -> None:
    root = make_bank(STORIES)
    (root / FOLDER).mkdir()
    with sqlite3.connect(root / FOLDER / FILE) as foreign:
        foreign.execute("CREATE TABLE files (name)")
    foreign.close()
    assert update(root)[0] == IndexStats(added=3)


@pytest.mark.parametrize("table", ["files", "passages", "vectors", "words"])
def test_a_missing_table_is_noticed(make_bank: BankMaker, table: str) -> None:
    root = make_bank(STORIES)
    good = state(update(root)[2])
    with sqlite3.connect(root / FOLDER / FILE) as connection:
        connection.execute(f"DROP TABLE {table}")
    connection.close()
    (root / "stories" / "plums.md").write_text("Blue plums.\n")  # so that every table is needed
    assert state(update(root)[2])[0] == good[0]  # type: ignore[index]  # a tuple, as `state` made it


def test_a_folder_that_cannot_be_written_is_indexed_in_memory(make_bank: BankMaker) -> None:
    root = make_bank(STORIES)
    good = fresh_from(root)
    (root / FOLDER).write_text("a file where the folder should be")
    stats, _, index = update(root)
    assert stats == IndexStats(added=3)
    assert state(index) == good
    assert "in memory" in index.notices[0]


def fresh_from(root: Path) -> object:
    found = state(update(root)[2])
    for path in (root / FOLDER).iterdir():
        path.unlink()
    (root / FOLDER).rmdir()
    return found


def test_an_index_that_cannot_be_written_is_copied_to_memory(
    make_bank: BankMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_bank(STORIES)
    update(root)
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def read_only(path: str, **options: object) -> sqlite3.Connection:
        if path == ":memory:":
            return connect(path, **options)
        return connect(f"file:{path}?mode=ro", uri=True, **options)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    assert update(root)[0] == IndexStats(kept=3)
    (root / "stories" / "figs.md").write_text("Figs.")
    stats, encoder, index = update(root)
    assert stats == IndexStats(added=1, kept=3)
    assert encoder.embedded == ["figs Figs."]
    assert "in memory" in index.notices[0]


def test_a_file_that_cannot_be_opened_for_a_moment_is_tried_again(
    make_bank: BankMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_bank(STORIES)
    with monkeypatch.context() as patch:
        refused = Problem("stories/plums.md", 1, "SB003", "cannot be opened: for a moment")
        read_bytes = Bank.read_bytes
        patch.setattr(
            Bank,
            "read_bytes",
            lambda bank, file: refused if file.slug == "plums" else read_bytes(bank, file),
        )
        stats, _, index = update(root)
        assert (stats.added, index.problems) == (2, (refused,))
    stats, _, index = update(root)
    assert (stats.added, stats.kept, index.problems) == (1, 2, ())


def test_random_damage_is_never_a_traceback(make_bank: BankMaker) -> None:
    root = make_bank(STORIES)
    update(root)
    path = root / FOLDER / FILE
    sound, chance = path.read_bytes(), random.Random(0)
    for _ in range(60):
        damaged = bytearray(sound)
        at = chance.randrange(len(damaged))
        damaged[at : at + 40] = chance.randbytes(40)
        path.write_bytes(damaged)
        try:
            Matcher(Bank.open(root), ToyEncoder()).match("red pears in a pie")
        except StorybankError:
            pytest.fail("what is only a cache must be made anew")


def test_rebuilding_while_others_ask(make_bank: BankMaker) -> None:
    root = make_bank(many(20))
    update(root)
    asked = 0
    with subprocess.Popen(
        [sys.executable, "-c", REBUILD, str(root)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        while process.poll() is None:
            matcher = Matcher(Bank.open(root), ToyEncoder())
            assert len(matcher.match("thing").matches) == 20
            assert not matcher.index.notices
            matcher.index.close()
            asked += 1
    assert process.returncode == 0
    assert asked > 3


def test_derived_files_are_kept_out_of_git(make_bank: BankMaker) -> None:
    root = make_bank(STORIES)
    update(root)
    assert (root / FOLDER / ".gitignore").read_text() == "*\n"


SLOW = textwrap.dedent(
    """
    import sys, time
    from storybank.bank import Bank
    from storybank.index import FAR, SHARPNESS, Index
    from tests.toy import ToyEncoder

    class Slow(ToyEncoder):
        def stories(self, stories):
            time.sleep(float(sys.argv[2]))
            return super().stories(stories)

    print(Index(Bank.open(sys.argv[1]), Slow()).update().added, flush=True)
    """
)


REBUILD = textwrap.dedent(
    """
    import sys, time
    from storybank.bank import Bank
    from storybank.index import FAR, SHARPNESS, Index
    from tests.toy import ToyEncoder

    print("ready", flush=True)
    for _ in range(8):
        Index(Bank.open(sys.argv[1]), ToyEncoder()).rebuild()
        time.sleep(0.15)
    """
)


def start(root: Path, pause: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, str(root), str(pause)], stdout=subprocess.PIPE, text=True
    )


def many(number: int) -> dict[str, str]:
    return {f"story-{n:03}.md": f"## Action\nI did thing {n}.\n" for n in range(number)}


def test_two_processes_at_once(make_bank: BankMaker) -> None:
    root = make_bank(many(150))
    both = [start(root, 0.05), start(root, 0.05)]
    for process in both:
        process.communicate(timeout=60)
        assert process.returncode == 0
    stats, encoder, index = update(root)
    assert stats == IndexStats(kept=150)
    assert not encoder.embedded
    assert state(index) == fresh_state(root)


def test_killed_at_any_moment_the_next_one_completes(make_bank: BankMaker) -> None:
    root = make_bank(many(150))
    for delay in (0.2, 0.3, 0.5, 0.8):
        process = start(root, 0.2)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    _, _, index = update(root)
    assert len(index.similarities(ToyEncoder().ask("thing"))) == 150
    assert not index.notices
    assert state(index) == fresh_state(root)


def test_a_change_between_reading_and_embedding_is_not_lost(make_bank: BankMaker) -> None:
    root = make_bank({"a.md": "Red."})

    class Meddler(ToyEncoder):
        def stories(self, stories: Sequence[Sequence[str]]) -> list[Told]:
            if not self.embedded:
                (root / "stories" / "a.md").write_text("Blue, and longer.")
                update(root)
            return super().stories(stories)

    update(root, Meddler())
    stats, encoder, index = update(root)
    assert stats == IndexStats(kept=1)
    assert not encoder.embedded
    assert state(index) == fresh_state(root)
