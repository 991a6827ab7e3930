"""Filling the templates of the grammar with words."""

import random
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from gpt2_shakespeare.corpora.pastiche.english import inflect, polish
from gpt2_shakespeare.corpora.pastiche.words import OLD, RULES, TRADE_WORDS, TRADES, WORDS
from gpt2_shakespeare.errors import UserError

T = TypeVar("T")

SLOT = re.compile(r"\{(?:(\w+)=)?(\w+)(?::(\w+))?\}")
"""{kind}, {kind:mood} or {keep=kind:mood}."""

REPLIES = {"ask": "answer", "bid": "obey", "mock": "retort", "tell": "wonder", "woo": "coy", "muse": "agree"}
"""The rule of what one says, and the rule of what the other answers."""
ACTS = tuple(REPLIES)


class Writer:
    """Fills templates, from a stream of random numbers and what is known at the moment.

    Args:
        seed: of the random numbers.
        manner: `OLD` or `NEW`.
    """

    def __init__(self, seed: int, manner: Mapping[str, str]) -> None:
        # Only random() keeps its sequence from one version of Python to the next.
        self.roll = random.Random(seed).random
        self.manner = manner
        self.known: dict[str, str] = {}  # the facts of the story
        self.trades: Sequence[str] = TRADES  # what the talk is about
        self.trade = ""  # what this sentence is about
        self.piles: dict[str, list[str]] = {}  # the templates not used yet

    def pick(self, items: Sequence[T]) -> T:
        """One of the items, each as likely as the others."""
        return items[int(len(items) * self.roll())]

    def often(self, items: Sequence[T]) -> T:
        """One of the items; favours the front, so that some words are common and many are rare."""
        return items[int(len(items) * self.roll() ** 2)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        return [item for _, item in sorted(((self.roll(), item) for item in items), key=lambda pair: pair[0])]

    def word(self, kind: str, facts: Mapping[str, str]) -> str:
        """What fills a slot: a fact, a filled template of the rule, or a word.

        Raises:
            UserError: grammar.yaml has a slot of a kind that there isn't.
        """
        for said in (facts, self.known, self.manner):
            if kind in said:
                return said[kind]
        if kind in RULES:
            return self.fill(self.pick(RULES[kind]), facts)
        if kind in WORDS:
            return self.often(WORDS[kind])
        if kind == "far":  # a thing from some other walk of life
            return self.thing(self.pick(TRADES))
        trade = self.trade if self.roll() < 0.85 else self.pick(TRADES)
        if kind not in TRADE_WORDS[trade]:
            raise UserError(
                f"grammar.yaml: {{{kind}}} can't be filled: it is no rule there, no word of words.yaml and "
                "no fact of the story; see the head of the file"
            )
        return self.often(TRADE_WORDS[trade][kind])

    def fill(self, template: str, facts: Mapping[str, str]) -> str:
        """The template with every slot filled."""
        kept: dict[str, str] = {}

        def slot(match: re.Match[str]) -> str:
            keep, kind, mood = match.groups()
            word = kept[kind] if kind in kept else self.word(kind, facts)
            if keep:
                kept[keep] = word
            return inflect(word, mood, self.manner is OLD) if mood else word

        return SLOT.sub(slot, template)

    def thing(self, trade: str) -> str:
        return self.often(TRADE_WORDS[trade]["thing"])

    def sentence(self, rule: str, **facts: str) -> str:
        """A sentence by a rule, about one of the trades the talk is about."""
        self.trade = self.pick(self.trades)
        pile = self.piles.setdefault(rule, [])
        if not pile:  # every template has its turn before one comes again
            pile += self.shuffled(RULES[rule])
        return polish(self.fill(pile.pop(), facts))
