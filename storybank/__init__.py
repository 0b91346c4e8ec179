"""storybank: the right interview story for a question, from your own Markdown files, offline.

    from storybank.bank import Bank
    from storybank.encoders import load
    from storybank.match import Matcher

    matcher = Matcher(Bank.open("."), load("onnx"))
    for match in matcher.match("a time you were wrong").matches:
        print(match.rank, match.story.title, match.score)

Nothing is imported here, so that starting the command costs no more than the command needs.
"""

__version__ = "0.1.0"
