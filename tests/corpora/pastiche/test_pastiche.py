"""The made-up text: always the same, laid out like Tiny Shakespeare, with the ties it promises."""

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from gpt2_shakespeare.corpora.pastiche import plays, prose

PLAYS_SHA256 = "81cdc9757d925aa86a83ef1b0f746a840548cb385227adf9e4ee0149dfc884f7"
PROSE_SHA256 = "b7093cb45abbc3c2bdc6fcee0d2e9466cb87ee63e92714b3172933a882963a1d"
MARKER = re.compile(r"ACT [IV]+\. SCENE I+\. [^\n:]+\.|[A-Z' ,-]+")  # a scene's heading, or a play's title
HEADING = re.compile(r"[A-Z][A-Za-z' -]*:")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def words(text: str) -> list[str]:
    return re.findall(r"[a-z'-]+", text.lower())


@pytest.fixture(scope="module")
def text() -> str:
    return plays()


@pytest.fixture(scope="module")
def tales() -> str:
    return prose()


@pytest.fixture(scope="module")
def speeches(text: str) -> list[tuple[str, str]]:
    """(name, lines) of each block; a marker has no name."""
    blocks = text.strip().split("\n\n")
    return [
        ("", block) if MARKER.fullmatch(block) else (block.split(":\n")[0], block.split(":\n", 1)[1])
        for block in blocks
    ]


def test_the_default_texts_are_pinned(text: str, tales: str) -> None:
    assert sha256(text) == PLAYS_SHA256
    assert sha256(tales) == PROSE_SHA256


def test_hash_order_locale_and_folder_do_not_matter(tmp_path) -> None:
    program = (
        "import hashlib; from gpt2_shakespeare.corpora.pastiche import plays, prose; "
        "print(*(hashlib.sha256(text.encode()).hexdigest() for text in (plays(), prose())))"
    )
    path = os.pathsep.join(sys.path)
    for hash_seed in ("1", "2"):
        # a file that is read without its encoding would be an error here
        done = subprocess.run(
            [sys.executable, "-X", "warn_default_encoding", "-W", "error::EncodingWarning", "-c", program],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": path,
                "PYTHONHASHSEED": hash_seed,
                "LC_ALL": "C",
                "PYTHONUTF8": "0",
            },
        )
        assert done.stdout.split() == [PLAYS_SHA256, PROSE_SHA256]


def test_another_seed_tells_another_story(text: str) -> None:
    assert plays(2, size=20_000) != plays(3, size=20_000) != text[:20_000]
    assert prose(2, size=20_000) != prose(3, size=20_000)


@pytest.mark.parametrize("seed", [1, 2])
def test_size_and_alphabet(seed: int) -> None:
    assert plays(seed).isascii() and 245_000 <= len(plays(seed)) <= 275_000


def test_prose_is_plain(tales: str) -> None:
    assert tales.isascii() and 1_150_000 <= len(tales) <= 1_250_000
    assert not re.search(r":$", tales, re.MULTILINE)
    assert not re.search(r"\b(thou|thee|thy|hath|doth)\b", tales, re.IGNORECASE)
    assert not re.search(r"[{}|/@]", tales)


def test_layout(text: str) -> None:
    assert text.endswith(".\n") or text.endswith("!\n") or text.endswith("?\n")
    assert "\n\n\n" not in text and not re.search(r"[{}|/@]", text)
    for block in text.strip().split("\n\n"):
        heading, *lines = block.split("\n")
        assert MARKER.fullmatch(block) or (HEADING.fullmatch(heading) and lines and all(lines)), block
        assert all(line[0].isupper() for line in lines), block


def test_no_slips_of_grammar(text: str, tales: str) -> None:
    for whole in (" ".join(text.split()), " ".join(tales.split())):
        assert not re.search(r" [,.;?!]|[,.;:?!]{2}|[.?] [a-z]", whole)
        assert not re.search(r"\b[Aa] (?!one|usurer|unicorn)[aeiou]", whole)
        assert not re.search(r"\bthe (a|an|the|my|his|thy)\b", whole)


def test_casts_differ_from_play_to_play(text: str, speeches: list[tuple[str, str]]) -> None:
    assert len({name for name, _ in speeches if name}) >= 40
    cut = len(text) * 9 // 10
    before, after = (set(re.findall(r"(?:^|\n\n)([^\n]+):\n", part)) for part in (text[:cut], text[cut:]))
    assert len(after - before) >= 5


def test_plays_and_prose_share_their_words(text: str, tales: str) -> None:
    ours, theirs = set(words(text)), set(words(tales))
    assert len(ours) > 2000
    assert len(ours & theirs) / len(ours) > 0.75


def test_lines_come_back_only_in_songs(speeches: list[tuple[str, str]]) -> None:
    lines = Counter(line for name, speech in speeches if name for line in speech.split("\n"))
    assert (lines.total() - len(lines)) / lines.total() < 0.03
    assert sum(count >= 4 for count in lines.values()) >= 6  # the refrains


def test_the_last_tenth_is_not_a_copy(text: str) -> None:
    everything = words(text)
    cut = len(everything) * 9 // 10
    seen, new = (
        list(zip(*(part[i:] for i in range(5)), strict=False))
        for part in (everything[:cut], everything[cut:])
    )
    known = set(seen)
    assert sum(five in known for five in new) / len(new) < 0.3


def test_a_speech_addresses_the_one_before(speeches: list[tuple[str, str]]) -> None:
    previous, earlier, chances = 0, 0, 0
    for i in range(6, len(speeches)):
        (name, speech), (last, _) = speeches[i], speeches[i - 1]
        other = next((who for who, _ in speeches[i - 6 : i - 1] if who not in ("", "All", name, last)), "")
        if name and last and other:
            chances += 1
            previous += last.split()[-1] in speech
            earlier += other.split()[-1] in speech
    assert chances > 100
    assert previous > 3 * earlier and previous > chances / 2


def test_an_answer_keeps_to_the_question(speeches: list[tuple[str, str]]) -> None:
    asked = answered = 0
    for (_, question), (name, answer) in zip(speeches, speeches[1:], strict=False):
        topic = re.search(r"is the ([\w-]+)\?$", " ".join(question.split()))
        if topic and name not in ("", "All"):
            asked += 1
            answered += topic[1] in answer
    assert asked >= 5 and answered > 0.7 * asked
