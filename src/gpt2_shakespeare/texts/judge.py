"""All figures of a set of texts: memorisation, style, names, variety and repetition. No torch.

`Judge.figures` is applied to the samples of every row and to the human text, as many texts and as long ones of each;
otherwise the figures can't be compared. Each text continues a prompt from val, and the human text is what follows that
prompt in val.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gpt2_shakespeare import disk
from gpt2_shakespeare.baselines.ngram import Ngram
from gpt2_shakespeare.params import schema
from gpt2_shakespeare.paths import Paths
from gpt2_shakespeare.texts import diversity, memorisation, style
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.files import DataError, Tokens, load_tokens
from gpt2_shakespeare.tokens.tokenizer import Encoding

NOVELTY = (4, 6, 8, 10)  # n of the n-grams looked up in train
REPEATED = 4  # n of the n-grams that count as repeated within a text
DECIMALS = 6  # of every figure


def cut(tokens: Tokens, n: int, length: int, where: str) -> np.ndarray:
    """Stretches of a text that start at evenly spaced places, int64 (n, length); in a short text they overlap.

    Args:
        where: how the error names the text.

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
    """Prompts (B, P) from val and what follows them there, (B, T).

    Args:
        draw: 0 or 1; the stretches of draw 1 start halfway between those of draw 0.

    Raises:
        DataError: val is too short.
    """
    length = settings.prompt_tokens + settings.max_new_tokens
    pieces = cut(val, 2 * settings.samples, length, "val")[draw::2]
    return pieces[:, : settings.prompt_tokens], pieces[:, settings.prompt_tokens :]


def write(out: Path, facts: dict[str, Any]) -> None:
    """Write facts as JSON, with floats rounded to DECIMALS."""
    disk.write_json(out, _rounded(facts), indent=1)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return round(value, DECIMALS) if isinstance(value, float) else value


@dataclass(frozen=True)
class Judge:
    """The texts that other texts are compared with.

    Args:
        encoding: the tokenizer of all token ids.
        train: the rows' training text; the first n-gram model counts it.
        dev: no row was trained on it; the second n-gram model counts it.
        val: its lines, turns and headings are what those of a text are compared with.
    """

    encoding: Encoding
    train: Tokens
    dev: Tokens
    val: Tokens

    @classmethod
    def read(cls, at: Paths) -> "Judge":
        """Read the tokenizer and the tokens of a scale.

        Raises:
            DataError, TokenizerError: a file can't be used.
        """
        encoding = tokenizer.load(at.tokenizer)
        parts = (load_tokens(at.tokens(part), encoding.n_vocab) for part in ("train", "dev", "val"))
        return cls(encoding, *parts)

    @cached_property
    def scorers(self) -> dict[str, Ngram]:
        """Trigram models by the part they count."""
        vocab_size = self.encoding.n_vocab
        return {"train": Ngram(self.train, vocab_size), "dev": Ngram(self.dev, vocab_size)}

    @cached_property
    def train_names(self) -> Counter:
        """Counts of the names in train's headings."""
        return Counter(style.headings(["\n\n" + self.encoding.decode(self.train.tolist())]))

    def shapes(self, texts: list[str]) -> dict[str, Counter]:
        """Counts of line lengths, turn lengths and looks of headings."""
        return {
            "line": style.line_lengths(texts),
            "turn": style.turn_lengths(texts),
            "heading": style.heading_shapes(style.headings(texts)),
        }

    def decoded(self, texts: np.ndarray) -> list[str]:
        """The strings of token ids (B, T)."""
        return [self.encoding.decode(row) for row in texts.tolist()]

    def figures(self, prompts: np.ndarray, texts: np.ndarray) -> dict[str, float | int]:
        """Every figure of the texts, except those that they don't have, such as of turns if there are no turns.

        Args:
            prompts, texts: token ids (B, P) and (B, T); each text continues its prompt, which isn't judged.
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
        # val is cut into pieces of the texts' length, so that the same share of its lines and turns is cut off
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
        """How far greedy continuations (B, T) of prefixes equal the originals (B, T)."""
        lengths = memorisation.matched_lengths(continuations, originals)
        return {
            "recalled": memorisation.recalled(lengths, originals.shape[1]),
            "mean_matched": float(lengths.mean()),
        }
