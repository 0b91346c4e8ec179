"""Write the judged pseudo-banks of one part as real banks, for benchmarks/quality.py and fuse.py.

    python training/write_banks.py dev FOLDER [--tagged]

With --tagged each is written once more with the tags its owner would give: the story's Leadership
Principles as `values` and the names of its behaviours as `tags`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import corpus
from corpus import PARTS, LabelledStory


def markdown(story: LabelledStory, names: dict[str, str], *, tagged: bool) -> str:
    """The story as a file of a bank."""
    matter = [f"title: {json.dumps(story.title, ensure_ascii=False)}"]
    if tagged:
        tags = [names[code].lower() for code in (*sorted(story.primary), *sorted(story.secondary))]
        matter.append(f"values: {json.dumps([f'{each}' for each in story.principles])}")
        matter.append(f"tags: {json.dumps(tags)}")
    parts = [
        f"## {part.capitalize()}\n\n{story.parts[part]}\n" for part in PARTS if story.parts[part]
    ]
    return "---\n" + "\n".join(matter) + "\n---\n\n" + "\n".join(parts)


def write(part: str, folder: Path, *, tagged: bool = False) -> None:
    """Write the banks of a part below `folder`; the names of tagged ones end in `-tagged`."""
    stories = corpus.stories()
    names = json.loads((corpus.HERE / "behaviours.json").read_text(encoding="utf-8"))
    for bank in corpus.banks():
        if bank.split != part:
            continue
        target = folder / (bank.name + ("-tagged" if tagged else ""))
        (target / "stories").mkdir(parents=True, exist_ok=True)
        for each in bank.stories:
            text = markdown(stories[each], names, tagged=tagged)
            (target / "stories" / f"{each}.md").write_text(text, encoding="utf-8")
        judged = dict(zip(bank.questions, map(dict, bank.grades), strict=True))
        (target / "judgments.json").write_text(
            json.dumps(judged, ensure_ascii=False, indent=1), encoding="utf-8"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("train", "dev", "test"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tagged", action="store_true")
    arguments = parser.parse_args()
    write(arguments.part, arguments.folder)
    if arguments.tagged:
        write(arguments.part, arguments.folder, tagged=True)


if __name__ == "__main__":
    main()
