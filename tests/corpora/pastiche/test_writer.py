"""The grammar's data files hold together, and a slip in them is named."""

import re
from collections import Counter
from pathlib import Path

import pytest

from gpt2_shakespeare.corpora.pastiche import words, writer
from gpt2_shakespeare.corpora.pastiche.writer import SLOT, Writer
from gpt2_shakespeare.errors import UserError

FACTS = {
    "hero",
    "foe",
    "other",
    "lost",
    "town",
    "t",
    "you",
    "x",
    "r",
    "s",
    "he",
    "him",
    "his",
    "a_folk",
    "far",
}
MOODS = {None, "pl", "s", "ed", "en", "ing", "eth", "est", "bare"}


def test_every_slot_can_be_filled() -> None:
    kinds = {kind for rows in words.TRADE_WORDS.values() for kind in rows}
    known = FACTS | kinds | set(words.RULES) | set(words.WORDS) | set(words.OLD)
    for rule, templates in words.RULES.items():
        assert templates, rule
        for template in templates:
            kept = {keep for keep, _, _ in SLOT.findall(template)}
            for _, kind, mood in SLOT.findall(template):
                assert kind in known | kept and (mood or None) in MOODS, f"{rule}: {template}"
            assert not re.search(r"[{}|@]", SLOT.sub("", template)), f"{rule}: {template}"


def test_every_trade_has_words_of_every_kind() -> None:
    for trade, rows in words.TRADE_WORDS.items():
        assert list(rows) == ["thing", "stuff", "folk", "deed", "way", "mark", "place"], trade
        assert all(rows.values()), trade


def test_names_last_for_nine_plays() -> None:
    assert (len(words.MEN), len(words.WOMEN), len(words.LANDS)) >= (36, 36, 27)
    assert len(words.TRADES) >= 9 and len(words.TICS) >= len(words.CAST)


@pytest.mark.parametrize("name", ["grammar", "words"])
def test_no_key_stands_twice(name: str) -> None:
    """Of two rules of one name the second would win, and nothing would say so."""
    text = Path(words.__file__).with_name(f"{name}.yaml").read_text(encoding="ascii")
    (doubled, times) = Counter(re.findall(r"^\w+:", text, re.MULTILINE)).most_common(1)[0]
    assert times == 1, doubled


def test_both_sides_of_a_talk_have_rules() -> None:
    assert {*writer.REPLIES, *writer.REPLIES.values()} <= set(words.RULES)


def test_a_slot_that_nothing_fills_is_named() -> None:
    clerk = Writer(1, words.OLD)
    clerk.trade = "sea"
    with pytest.raises(UserError, match=r"grammar\.yaml: \{shipp\} can't be filled"):
        clerk.fill("the {shipp}", {"t": "ship"})
