"""All figures of a set of texts at once: memorisation, style, names, variety, degeneration. No torch.

Every row's samples and the human text go through `Judge.figures`, in equal number and of equal length; only
then can the figures be compared. Each text goes on from a prompt of val, and the human text is what stands there.
"""

import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tiktoken

from gpt2_shakespeare.baselines.ngram import Ngram
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.paths import Paths
from gpt2_shakespeare.texts import diversity, memorisation, style
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.files import DataError, Tokens, load_tokens

NOVELTY = (4, 6, 8, 10)  # n of the n-grams looked up in train
REPEATED = 4  # n of the n-grams that count as repeated within a text
DECIMALS = 6  # of every figure


def cut(tokens: Tokens, n: int, length: int, where: str) -> np.ndarray:
    """n stretches of equal length from evenly spaced places, int64 (n, length); in a short text they overlap.

    Raises:
        DataError: the text is shorter than one stretch.
    """
    if len(tokens) < length:
        raise DataError(
            f"{where}: {len(tokens)} tokens are too few for a prompt and its continuation, {length}; "
            "lower the lengths in params.yaml's `analysis` or lengthen the corpus"
        )
    starts = np.linspace(0, len(tokens) - length, n).astype(np.int64)
    return tokens[starts[:, None] + np.arange(length)].astype(np.int64)


def human(val: Tokens, settings: schema.Analysis, draw: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Prompts (B, P) of val and what it goes on with, (B, T); draw 1 lies between those of draw 0.

    Raises:
        DataError: val is too short.
    """
    length = settings.prompt_tokens + settings.max_new_tokens
    pieces = cut(val, 2 * settings.samples, length, "val")[draw::2]
    return pieces[:, : settings.prompt_tokens], pieces[:, settings.prompt_tokens :]


def write(out: Path, facts: dict[str, Any]) -> None:
    """Facts as JSON, their figures rounded."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(_rounded(facts), indent=1) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return round(value, DECIMALS) if isinstance(value, float) else value


@dataclass(frozen=True)
class Judge:
    """What texts are compared with.

    Args:
        encoding: the tokenizer of all token ids.
        train: what the rows were trained on; also what the first scorer counts.
        dev: no row was trained on it: what the second scorer counts.
        val: whose lines, turns and headings a text's shape is compared with.
    """

    encoding: tiktoken.Encoding
    train: Tokens
    dev: Tokens
    val: Tokens

    @classmethod
    def read(cls, at: Paths) -> "Judge":
        """With the tokenizer and tokens of a scale.

        Raises:
            DataError, TokenizerError: a file can't be used.
        """
        encoding = tokenizer.load(at.tokenizer)
        parts = (load_tokens(at.tokens(part), encoding.n_vocab) for part in ("train", "dev", "val"))
        return cls(encoding, *parts)

    @cached_property
    def scorers(self) -> dict[str, Ngram]:
        vocab_size = self.encoding.n_vocab
        return {"train": Ngram(self.train, vocab_size), "dev": Ngram(self.dev, vocab_size)}

    @cached_property
    def train_names(self) -> Counter:
        return Counter(style.headings(["\n\n" + self.encoding.decode(self.train.tolist())]))

    def shapes(self, texts: list[str]) -> dict[str, Counter]:
        return {
            "line": style.line_lengths(texts),
            "turn": style.turn_lengths(texts),
            "heading": style.heading_shapes(style.headings(texts)),
        }

    def decoded(self, texts: np.ndarray) -> list[str]:
        return [self.encoding.decode(row) for row in texts.tolist()]

    def figures(self, prompts: np.ndarray, texts: np.ndarray) -> dict[str, float | int]:
        """Every figure of the texts; one that can't be had of them, as of turns where there are none, is left out.

        Args:
            prompts, texts: token ids (B, P) and (B, T); a text goes on from its prompt, which isn't judged.
        """
        strings, rows = self.decoded(texts), texts.tolist()
        found = memorisation.matches(texts, self.train)
        figures: dict[str, float | int | None] = {
            **{f"in_train_{n}": memorisation.share_in_train(found, n) for n in NOVELTY},
            "longest_match": int(found.max()),
            "mean_longest_match": float(found.max(axis=1).mean()),
        }
        if n_chars := sum(map(len, strings)):
            for name, scorer in self.scorers.items():
                figures[f"bits_per_char_{name}"] = style.bits_per_char(scorer, prompts, texts, n_chars)
        # val in pieces of the same length, so that as many of its lines and turns are cut off
        length = texts.shape[1]
        whole = len(self.val) // length * length
        val = self.shapes(self.decoded(self.val[:whole].reshape(-1, length)))
        figures |= {
            f"{name}_distance": style.distance(counts, val[name])
            for name, counts in self.shapes(strings).items()
        }
        names = style.headings(strings)
        figures |= {"headings": len(names), "name_distance": style.distance(Counter(names), self.train_names)}
        if names:
            whose = style.whose_names(self.decoded(prompts), strings, set(self.train_names))
            figures |= {f"names_{where}": times / len(names) for where, times in whose.items()}
        figures |= {f"distinct_{n}": diversity.distinct(rows, n) for n in (1, 2, 3)}
        figures |= {
            "self_bleu": diversity.self_bleu(rows),
            "compression_ratio": diversity.compression_ratio(strings),
            "repeated": diversity.repeated(rows, REPEATED),
            "zipf": diversity.zipf(rows),
        }
        return {name: value for name, value in figures.items() if value is not None}

    def recall(self, continuations: np.ndarray, originals: np.ndarray) -> dict[str, float | list[float]]:
        """How far greedy continuations (B, T) of prefixes go on as the originals do."""
        lengths = memorisation.matched_lengths(continuations, originals)
        return {
            "recalled": memorisation.recalled(lengths, originals.shape[1]),
            "mean_matched": float(lengths.mean()),
        }
