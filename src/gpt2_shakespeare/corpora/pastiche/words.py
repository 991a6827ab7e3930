"""The vocabulary and the templates of the built-in texts, as words.yaml and grammar.yaml have them."""

from collections.abc import Mapping
from pathlib import Path

from gpt2_shakespeare.corpora import tables

_words = tables.read(Path(__file__).with_name("words.yaml"))


def _split(rows: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: row.split() for name, row in rows.items()}


TRADES: tuple[str, ...] = tuple(_words["trades"])
TRADE_WORDS = {trade: _split(rows) for trade, rows in _words["trades"].items()}
WORDS = _split(_words["words"])
NAMES = _split(_words["names"])
MEN, WOMEN, LANDS, LORDS = (NAMES[kind] for kind in ("men", "women", "lands", "lords"))
CAST: list[dict] = _words["cast"]
TICS: list[str] = _words["tics"]
RHYMES: list[list[str]] = [row.split() for row in _words["rhymes"]]
OLD, NEW = ({word: pair[manner] for word, pair in _words["manners"].items()} for manner in (0, 1))
IRREGULAR = _split(_words["irregular"])
PLURALS: dict[str, str] = _words["plurals"]

RULES: dict[str, list[str]] = {
    rule: templates.splitlines()
    for rule, templates in tables.read(Path(__file__).with_name("grammar.yaml")).items()
}
