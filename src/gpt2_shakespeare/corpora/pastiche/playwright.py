"""Plays: a title, then acts and scenes of speeches that answer each other."""

from collections.abc import Iterator
from dataclasses import dataclass

from gpt2_shakespeare.corpora.pastiche.english import lower, polish, verse
from gpt2_shakespeare.corpora.pastiche.words import (
    CAST,
    LANDS,
    LORDS,
    MEN,
    OLD,
    RHYMES,
    TICS,
    TRADE_WORDS,
    TRADES,
    WOMEN,
)  # fmt: skip
from gpt2_shakespeare.corpora.pastiche.writer import ACTS, REPLIES, Writer

ROMAN = ("I", "II", "III", "IV", "V")


@dataclass(frozen=True)
class Player:
    name: str  # as in the heading
    calls: list[str]  # how others call them: each ends in the last word of the name
    trade: str
    tic: str
    oath: str
    length: int  # syllables in a line


class Playwright(Writer):
    """Writes one play after another; no two share a player, but for the Messenger."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, OLD)
        self.decks = {"man": self.shuffled(MEN), "woman": self.shuffled(WOMEN), "land": self.shuffled(LANDS)}
        self.tasks = self.shuffled(TRADES)
        self.refrain = ""  # of this play
        self.scene_trade = ""

    def cast(self) -> Iterator[Player]:
        """The players of the next play, drawn from the names not used yet."""
        task = self.tasks.pop()
        folk = self.pick(TRADE_WORDS[task]["folk"]).title()
        tics = self.shuffled(TICS)
        for part in CAST:
            drawn = {deck: cards.pop() for deck, cards in self.decks.items() if f"{{{deck}}}" in part["name"]}
            name = self.fill(part["name"], drawn | {"lord": self.pick(LORDS), "task": folk})
            calls = [f"{call} {name.split()[-1]}".strip() for call in part["calls"]]
            self.trade = task if folk in name else self.pick(TRADES)
            yield Player(name, calls, self.trade, tics.pop(), self.fill("{oath}", {}), part["syllables"])

    def play(self, size: int) -> Iterator[str]:
        """The blocks of a play: its title, then scenes of speeches."""
        self.known = {"town": self.decks["land"].pop(), "other": "the Messenger"}
        players = list(self.cast())
        theme = self.pick(TRADES)
        self.known |= {
            "hero": "the " + players[0].name,
            "foe": "the " + players[1].name,
            "lost": self.thing(theme),
        }
        self.trades = (theme,)
        yield self.sentence("title").upper()
        self.refrain = self.song("refrain")
        written = 0
        for number in range(15):
            present = self.shuffled(players)
            present, absent = present[: 2 + int(4 * self.roll() ** 1.5)], present[5:]
            self.known["other"] = self.pick(absent).calls[0]
            self.scene_trade = self.pick((theme, present[0].trade, self.pick(TRADES)))
            self.trades = (self.scene_trade,)
            act, scene = ROMAN[number // 3], ROMAN[number % 3]
            yield f"ACT {act}. SCENE {scene}. " + self.sentence("scene")
            for block in self.scene(present, size * (number + 1) // 15 - written):
                written += len(block) + 2
                yield block

    def scene(self, present: list[Player], size: int) -> Iterator[str]:
        """Speeches to and fro until size is used up; then a couplet."""
        speaker, hearer = present[:2]
        topic, heard = self.thing(self.scene_trade), ""
        song = self.roll() < 0.3
        while size > 0:
            # The answer keeps to the topic it was given; then the talk may turn.
            if heard or self.roll() < 0.75:
                said = [self.sentence(REPLIES[heard], t=topic, you=self.pick(hearer.calls))] if heard else []
                said += [self.remark(speaker) for _ in range(int(5 * self.roll() ** 3.5))]
            else:
                said = [self.sentence("alone"), *(self.remark(speaker) for _ in range(5))]
            if self.roll() < 0.3:
                topic = self.known["lost"] if self.roll() < 0.2 else self.thing(self.scene_trade)
            if not heard or self.roll() < 0.85:
                heard = self.pick(ACTS)
                said.append(self.sentence(heard, t=topic, you=self.pick(hearer.calls)))
            else:
                heard = "muse"
            speech = verse(" ".join(said), speaker.length)
            if song and self.roll() < 0.12:
                song = False
                verses = [self.song("verse"), self.refrain, self.song("verse"), self.refrain]
                speech = "\n".join([speech, *verses])
            yield f"{speaker.name}:\n{speech}"
            size -= len(speech) + len(speaker.name) + 4
            if self.roll() < 0.03:
                yield f"All:\n{self.sentence('chorus', t=topic, you=speaker.calls[0])}"
            # Mostly the one spoken to answers; else another takes it up.
            others = [player for player in present if player not in (speaker, hearer)]
            speaker, hearer = self.pick(others) if others and self.roll() < 0.3 else hearer, speaker
        yield f"{speaker.name}:\n{self.song('couplet')}"

    def remark(self, speaker: Player) -> str:
        """Something said by the way, at times with the speaker's oath or tic."""
        self.trades = (self.scene_trade, self.scene_trade, speaker.trade, self.pick(TRADES))
        text = self.sentence("proverb" if self.roll() < 0.12 else "say")
        chance = self.roll()
        if chance < 0.07:
            return f"By {speaker.oath}, {lower(text)}"
        if chance < 0.17 and text.endswith("."):
            return f"{text[:-1]}, {speaker.tic}."
        return text.replace(", ", f", {speaker.tic}, ", 1) if chance < 0.25 else text

    def song(self, rule: str) -> str:
        """Lines by a rule, whose last words may rhyme."""
        r, s = self.shuffled(self.pick(RHYMES))[:2]
        return "\n".join(polish(line) for line in self.sentence(rule, r=r, s=s).split(" / "))


def plays(seed: int = 1, size: int = 260_000, count: int = 9) -> str:
    """Plays laid out as Tiny Shakespeare is: the same text for the same arguments.

    Args:
        seed: of the random numbers.
        size: about how many bytes, in all.
        count: of plays; at most nine, for then every name has been used.
    """
    playwright = Playwright(seed)
    return "\n\n".join(block for _ in range(count) for block in playwright.play(size // count)) + "\n"
