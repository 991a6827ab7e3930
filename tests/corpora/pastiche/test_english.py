"""English words are inflected, counted and broken into lines as they should be."""

import pytest

from gpt2_shakespeare.corpora.pastiche.english import inflect, lower, polish, syllables, verse


@pytest.mark.parametrize(
    ("word", "mood", "form"),
    [
        ("goose", "pl", "geese"),
        ("sailor", "pl", "sailors"),
        ("fisherman", "pl", "fishermen"),
        ("penny", "pl", "pennies"),
        ("stir", "ed", "stirred"),
        ("baste", "ing", "basting"),
        ("kneel-to", "en", "knelt-to"),
        ("bury", "eth", "burieth"),
        ("write", "en", "written"),
        ("dig", "est", "diggest"),
        ("kiss", "s", "kisses"),
    ],
)
def test_inflection(word: str, mood: str, form: str) -> None:
    assert inflect(word, mood, True) == form


def test_verse_breaks_near_ten_syllables() -> None:
    assert [syllables(word) for word in ("whale", "lantern", "basted", "roared")] == [1, 2, 2, 1]
    lines = verse("the whale has drowned the herring in the tar and hauled the anchor from the quay", 10)
    assert lines == "The whale has drowned the herring in the tar and\nHauled the anchor from the quay"


def test_in_modern_english_old_endings_are_gone() -> None:
    assert [inflect("dig", mood, False) for mood in ("eth", "est", "ed")] == ["digs", "dig", "dug"]


def test_sentences_are_polished() -> None:
    assert (
        polish("a owl saw a usurer. he kneel-to a honest one")
        == "An owl saw a usurer. He kneel to an honest one"
    )
    assert lower("The owl is Perrin's") == "the owl is Perrin's" and lower("Perrin's owl") == "Perrin's owl"
