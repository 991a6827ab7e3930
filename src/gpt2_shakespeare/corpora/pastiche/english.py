"""English as it is spelt: inflected words, syllables, capitals, and lines of verse."""

import re
from functools import cache

from gpt2_shakespeare.corpora.pastiche.words import IRREGULAR, LANDS, MEN, PLURALS, WOMEN

CAPITALISED = frozenset([*MEN, *WOMEN, *LANDS, "I", "I'll", "O", "Saint"])


@cache
def syllables(word: str) -> int:
    """A rough count: groups of vowels, without a silent e."""
    word = re.sub(r"[^a-z]", "", word.lower())
    voiced = re.sub(r"(?<=[^aeiouy])(?<![^aeiouy]l)(e|(?<![sxzcgh])es|(?<![td])ed)$", "", word)
    return max(1, len(re.findall(r"[aeiouy]+", voiced)))


def _plural(noun: str) -> str:
    if noun.endswith("man"):
        return noun[:-2] + "en"
    return PLURALS.get(noun) or _add(noun, "s")


def _add(word: str, ending: str) -> str:
    """The word with s, ed, ing, eth or est, spelt as English would."""
    if ending == "s":
        if re.search(r"[^aeiou]y$", word):
            return word[:-1] + "ies"
        return word + ("es" if re.search(r"(s|x|z|ch|sh|do|go)$", word) else "s")
    if word.endswith("e"):
        return word[:-1] + ending
    if re.search(r"[^aeiou]y$", word) and ending != "ing":
        return word[:-1] + "i" + ending
    if re.search(r"(^|[^aeiou]|qu)[aeiou][^aeiouwxy]$", word) and syllables(word) == 1:
        return word + word[-1] + ending
    return word + ending


@cache
def inflect(word: str, mood: str, old: bool) -> str:
    """The word in a mood.

    Args:
        word: a noun or a verb; of a verb with a hyphen, such as kneel-to, the first part is inflected.
        mood: pl, s, ed, en (participle), ing, eth or est; bare only takes a full stop off.
        old: whether eth and est stand; in modern English they are s and nothing.
    """
    if mood == "bare":
        return word.rstrip(".")
    if mood == "pl":
        return _plural(word)
    if not old:
        mood = {"eth": "s", "est": ""}.get(mood, mood)
    verb, *rest = word.split("-")
    if mood in ("ed", "en"):
        verb = IRREGULAR[verb][mood == "en"] if verb in IRREGULAR else _add(verb, "ed")
    elif mood:
        verb = _add(verb, mood)
    return "-".join([verb, *rest])


def polish(text: str) -> str:
    """The text with an before vowels, two words for kneel-to, and capitals where sentences begin."""
    text = re.sub(r"\b([Aa]) (?=(?!one|unicorn|usurer|eu|ewe)[aeiou]|hon|hour)", r"\1n ", text)
    text = re.sub(r"-(to|for)\b", r" \1", text)
    return re.sub(r'(^"?|[.?!] )([a-z])', lambda match: match[1] + match[2].upper(), text)


def lower(text: str) -> str:
    """The text as the rest of a longer sentence."""
    first = re.split(r"\W", text, maxsplit=1)[0]
    return text if first in CAPITALISED else text[0].lower() + text[1:]


def verse(text: str, length: int) -> str:
    """Breaks a speech into lines of about `length` syllables, at a stop where one is near."""
    lines: list[list[str]] = [[]]
    count = 0
    for word in text.split():
        beats = syllables(word)
        if count + beats > length + 1 or (count >= length - 2 and lines[-1][-1][-1] in ",.;:?!"):
            lines.append([])
            count = 0
        lines[-1].append(word)
        count += beats
    if len(lines) > 1 and count < 4:  # no line of one word at the end
        lines[-2:] = [lines[-2] + lines[-1]]
    return "\n".join(line[0][0].upper() + " ".join(line)[1:] for line in lines)
