"""Prose: tales of the world of the plays, told in plain modern English."""

import re
from collections.abc import Iterator

from gpt2_shakespeare.corpora.pastiche.english import lower
from gpt2_shakespeare.corpora.pastiche.words import LANDS, LORDS, MEN, NEW, TRADE_WORDS, TRADES, WOMEN
from gpt2_shakespeare.corpora.pastiche.writer import ACTS, REPLIES, Writer


class Narrator(Writer):
    """Tells tales of the same world, one paragraph at a time."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, NEW)

    def tale(self) -> Iterator[str]:
        """The paragraphs of a tale."""
        hero, other = self.pick(MEN), self.pick(WOMEN)
        he, him, his = "he", "him", "his"
        if self.roll() < 0.5:
            hero, other = other, hero
            he, him, his = "she", "her", "her"
        theme = self.pick(TRADES)
        self.trades = (theme, theme, self.pick(TRADES), self.pick(TRADES))
        self.known = {
            "hero": hero,
            "other": other,
            "he": he,
            "him": him,
            "his": his,
            "lost": self.thing(theme),
            "town": self.pick(LANDS),
            "foe": f"the {self.pick(LORDS)} of {self.pick(LANDS)}",
            "a_folk": "a " + self.often(TRADE_WORDS[theme]["folk"]),
        }
        yield " ".join([self.sentence("begin"), *self.telling()])
        for _ in range(4 + int(8 * self.roll())):
            yield " ".join(self.telling())
            if self.roll() < 0.5:
                yield from self.talk(hero, other, self.thing(theme))
        yield " ".join([*self.telling(), self.sentence("ending")])

    def telling(self) -> list[str]:
        """The sentences of a paragraph."""
        return [self.sentence("tale") for _ in range(2 + int(6 * self.roll()))]

    def talk(self, speaker: str, hearer: str, topic: str) -> Iterator[str]:
        """A few turns of question and answer, each in a paragraph of its own."""
        heard = ""
        third = self.pick(MEN + WOMEN)
        for _ in range(2 + int(4 * self.roll())):
            said = [self.sentence(REPLIES[heard], t=topic, you=hearer, other=third)] if heard else []
            if self.roll() < 0.3:
                said.append(self.sentence("say", other=third))
            heard = self.pick(ACTS)
            said.append(self.sentence(heard, t=topic, you=hearer, other=third))
            speech = re.sub(r"\.$", ",", " ".join(said))
            tag = lower(self.sentence("asked" if speech[-1] == "?" else "said", x=speaker))
            yield f'"{speech}" {tag}.'
            speaker, hearer = hearer, speaker


def prose(seed: int = 1, size: int = 1_200_000) -> str:
    """Tales told in plain modern English: the same text for the same arguments.

    Args:
        seed: of the random numbers.
        size: about how many bytes.
    """
    narrator = Narrator(seed)
    paragraphs: list[str] = []
    while size > 0:
        tale = list(narrator.tale())
        paragraphs += tale
        size -= sum(len(paragraph) + 2 for paragraph in tale)
    return "\n\n".join(paragraphs) + "\n"
