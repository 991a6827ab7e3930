"""The tokenizer of a base: a Hugging Face tokenizer.json, or a GGUF's, used with the interface of ours. No torch.

`take` makes a copy that reads a text as a text: nothing is added before it (no BOS, no space), and special tokens in it
are plain text. Their ids are the base's own.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpt2_shakespeare import disk
from gpt2_shakespeare.errors import printable
from gpt2_shakespeare.tokens.tokenizer import BYTE_OF, END_OF_TEXT, LARGEST, Encoding, TokenizerError

TOKENIZER, SETTINGS = "tokenizer.json", "tokenizer_config.json"
OTHERS = ("generation_config.json", "config.json")  # where else a base may name its end of text
SPACE = "\u2581"  # what sentencepiece writes for a space
READ = "only byte-level BPE and sentencepiece's kind with byte fallback can be read"


class JsonTokenizer:
    """A tokenizers.Tokenizer with the methods of `tokenizer.Encoding`.

    Ids that no token has, as those of a padded embedding, decode to nothing.

    Args:
        found: what stands in tokenizer.json.
        end: the token that stands between texts.
        where: how errors name the tokenizer.

    Raises:
        TokenizerError: the library can't read it, it has no such token, or its types are not made of bytes.
    """

    def __init__(self, found: dict[str, Any], end: str, where: object):
        self._tokenizer = _parsed(found, where)
        self._tokenizer.encode_special_tokens = True  # text that looks like one is plain text
        vocab: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        if end not in vocab:
            raise TokenizerError(
                f"{where}: '{printable(end)}', which should end a text, is none of its tokens"
            )
        self.eot_token: int = vocab[end]
        to_bytes = _reader(found, where)
        added = {token["content"] for token in found.get("added_tokens") or ()}
        self._bytes = [b""] * (max(vocab.values()) + 1)
        for name, number in vocab.items():
            self._bytes[number] = name.encode() if name in added else to_bytes(name)

    @property
    def n_vocab(self) -> int:
        """One more than the largest id."""
        return len(self._bytes)

    def encode_ordinary(self, text: str) -> list[int]:
        """Ids of a text."""
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # as tiktoken does
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def decode_single_token_bytes(self, token: int) -> bytes:
        """The bytes of a type."""
        return self._bytes[token] if 0 <= token < len(self._bytes) else b""

    def decode_tokens_bytes(self, tokens: Sequence[int]) -> list[bytes]:
        """The bytes of each token."""
        return [self.decode_single_token_bytes(token) for token in tokens]

    def decode_bytes(self, tokens: Sequence[int]) -> bytes:
        """The bytes of a text."""
        return b"".join(self.decode_tokens_bytes(tokens))

    def decode(self, tokens: Sequence[int]) -> str:
        """A text; what is not UTF-8 in it becomes U+FFFD."""
        return self.decode_bytes(tokens).decode(errors="replace")


def fits(encoding: Encoding, types: int) -> bool:
    """Whether a model with so many token types can be read with a tokenizer; those beyond a base's own are padding."""
    return types == encoding.n_vocab or (isinstance(encoding, JsonTokenizer) and types > encoding.n_vocab)


def load(folder: Path) -> JsonTokenizer:
    """Read a copy that `take` has made.

    Raises:
        TokenizerError: a file is missing or broken.
    """
    return JsonTokenizer(
        _json(folder / TOKENIZER), str(_json(folder / SETTINGS).get("eos_token")), folder / TOKENIZER
    )


def take(source: Path, folder: Path) -> JsonTokenizer:
    """Copy a base's tokenizer.

    Args:
        source: the base's folder, with tokenizer.json and, where it has no <|endoftext|>, a file that names the end of a
            text; or a GGUF file.
        folder: where the copy goes.

    Raises:
        TokenizerError: it can't be read, is of another kind, or names no end of text.
    """
    if source.is_dir():
        found = _json(source / TOKENIZER)
        _parsed(found, source / TOKENIZER)
        end = _end(source, found)
    else:
        found, end = _of_gguf(source)
    found = _plain(found)
    settings = {
        "add_bos_token": False,
        "add_eos_token": False,
        "bos_token": end,
        "clean_up_tokenization_spaces": False,
        "eos_token": end,
        "tokenizer_class": "PreTrainedTokenizerFast",  # others would make a tokenizer.json of their own
    }
    made = JsonTokenizer(found, end, source)
    disk.write_json(folder / TOKENIZER, found, ensure_ascii=False)
    disk.write_json(folder / SETTINGS, settings, indent=2)
    return made


def _parsed(found: dict[str, Any], where: object) -> Any:
    """A tokenizers.Tokenizer."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(json.dumps(found))
    except Exception as error:  # the library's errors have no type of their own
        raise TokenizerError(f"{where}: not a tokenizer: {printable(error, 200)}") from None


def _json(file: Path) -> dict[str, Any]:
    try:
        return disk.read_json(file, LARGEST)
    except disk.FileError as error:
        raise TokenizerError(f"{error}; with tokenizer.source base it must be there") from None


def _parts(part: Any) -> list[dict[str, Any]]:
    """The normalizers, pre-tokenizers or decoders of a tokenizer.json, those in a sequence one by one."""
    if not isinstance(part, dict):
        return []
    inner = [each for key in ("normalizers", "pretokenizers", "decoders") for each in part.get(key) or ()]
    return [each for one in inner for each in _parts(one)] if part.get("type") == "Sequence" else [part]


def _reader(found: dict[str, Any], where: object):
    """The function that gives the bytes of a type by its name.

    Raises:
        TokenizerError: there is none for this kind of tokenizer.
    """
    model = found.get("model") or {}
    split = _parts(found.get("normalizer")) + _parts(found.get("pre_tokenizer"))
    decoded = _parts(found.get("decoder"))
    kind = printable(model.get("type") or "a model without a type")
    if any(part.get("type") == "ByteLevel" for part in split):
        if kind != "BPE":
            raise TokenizerError(f"{where}: its types are {kind} over bytes; {READ}")
        return lambda name: (
            bytes(BYTE_OF[char] for char in name) if BYTE_OF.keys() >= set(name) else name.encode()
        )
    spaces = any(
        part.get("type") == "Metaspace" or (part.get("pattern") or {}).get("String") == SPACE
        for part in decoded
    )
    if kind not in ("BPE", "Unigram") or not model.get("byte_fallback") or not spaces:
        raise TokenizerError(f"{where}: its types, {kind}, don't give the bytes of a text; {READ}")
    single = {f"<0x{byte:02X}>": bytes([byte]) for byte in range(256)}
    return lambda name: single.get(name) or name.replace(SPACE, " ").encode()


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    """Without what adds something to a text or cuts it: BOS, a first space, a longest length."""

    def without(part: Any) -> Any:
        if not isinstance(part, dict) or part.get("type") == "Prepend":
            return None
        made = dict(part)
        for key in ("normalizers", "pretokenizers"):
            if key in made:
                made[key] = [kept for each in made[key] or () if (kept := without(each)) is not None]
        if made.get("type") == "Metaspace":
            made["prepend_scheme"] = "never"
            made.pop("add_prefix_space", None)  # its older name
        elif "add_prefix_space" in made:
            made["add_prefix_space"] = False
        return made

    decoder = found.get("decoder")
    if isinstance(decoder, dict) and decoder.get("type") == "Sequence":
        kept = [part for part in decoder.get("decoders") or () if part.get("type") != "Strip"]
        decoder = decoder | {"decoders": kept}
    elif isinstance(decoder, dict) and decoder.get("type") == "Metaspace":
        decoder = without(decoder)
    return found | {
        "truncation": None, "padding": None, "post_processor": None, "decoder": decoder,
        "normalizer": without(found.get("normalizer")), "pre_tokenizer": without(found.get("pre_tokenizer")),
    }  # fmt: skip


def _end(source: Path, found: dict[str, Any]) -> str:
    """The token between texts: <|endoftext|>, or what the base calls its end."""
    added = {token.get("id"): token.get("content") for token in found.get("added_tokens") or ()}
    vocab = (found.get("model") or {}).get("vocab")
    names = vocab if isinstance(vocab, dict) else {entry[0]: n for n, entry in enumerate(vocab or ())}
    if END_OF_TEXT in names or END_OF_TEXT in added.values():
        return END_OF_TEXT
    by_id = {number: name for name, number in names.items()} | added
    if (source / SETTINGS).exists():
        end = _json(source / SETTINGS).get("eos_token")
        end = end.get("content") if isinstance(end, dict) else end
        if isinstance(end, str):
            return end
    for file in (source / name for name in OTHERS):
        end = _json(file).get("eos_token_id") if file.exists() else None
        end = end[0] if isinstance(end, list) and end else end
        if isinstance(end, int) and end in by_id:
            return by_id[end]
    raise TokenizerError(
        f"{source}: no token ends a text: there is no {END_OF_TEXT}, and {SETTINGS} names no eos_token"
    )


def _of_gguf(file: Path) -> tuple[dict[str, Any], str]:
    """What tokenizer.json would hold for a GGUF file, and the token between texts."""
    from transformers import AutoTokenizer

    try:
        theirs = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)
        found = json.loads(theirs.backend_tokenizer.to_str())
        names = theirs.get_vocab()
        end = END_OF_TEXT if END_OF_TEXT in names else theirs.eos_token
    except Exception as error:  # whatever the reader meets in a file of another kind
        raise TokenizerError(
            f"{file}: its tokenizer can't be read: {printable(error, 200) or type(error).__name__}"
        ) from None
    if end is None:
        raise TokenizerError(f"{file}: no token ends a text")
    return found, end
