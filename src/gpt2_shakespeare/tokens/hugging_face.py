"""Our tokenizer as Hugging Face's libraries read it, and theirs compared with ours. No torch."""

import json
import logging
from pathlib import Path
from typing import Any

from gpt2_shakespeare import disk
from gpt2_shakespeare.errors import printable
from gpt2_shakespeare.tokens import tokenizer
from gpt2_shakespeare.tokens.json_tokenizer import SETTINGS, TOKENIZER, JsonTokenizer
from gpt2_shakespeare.tokens.tokenizer import END_OF_TEXT, Encoding, TokenizerError

log = logging.getLogger(__name__)

GPT2_TYPES = 50257
GPT2_IDS = {
    "Hello world": [15496, 995],
    "First Citizen:\n": [5962, 22307, 25, 198],
}  # by openai/gpt-2, encoder.py
PROBE = (
    "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak; we're 1,234 who've heard.\n"
    "\n\nThe weather, that day, was 23.5 \u00b0C; na\u00efve caf\u00e9s\u2014\u201cclosed\u201d\u2014and   three  spaces. "
    "\tTabs\tand\r\nCRLF. ROMEO'S 'tis o'er: x_1 += f(y)[0] # 100% \u6f22\u5b57 \u0420\u0443\u0441 \U0001f468\u200d\U0001f469 \u00a0end "
)


def write(folder: Path, source: Path, longest: int) -> None:
    """Write tokenizer.json and tokenizer_config.json, so that transformers.AutoTokenizer gives the same ids as ours.

    There, as in GPT-2's own, `<|endoftext|>` inside a text is the end-of-text token; our `encode_ordinary` reads it as
    plain text.

    Args:
        folder: of the model.
        source: the folder with our tokenizer.
        longest: text that the model can read, in tokens.

    Raises:
        TokenizerError: the tokenizer can't be read.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    encoding = tokenizer.load(source)
    if isinstance(encoding, JsonTokenizer):
        disk.install(source / TOKENIZER, folder / TOKENIZER)
        settings = disk.read_json(source / SETTINGS) | {"model_max_length": longest}
        disk.write_json(folder / SETTINGS, settings, indent=2)
        return
    vocab = tokenizer.names(encoding)
    made = Tokenizer(models.BPE(vocab=vocab, merges=tokenizer.merges(source)))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # with GPT-2's pattern
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(END_OF_TEXT, normalized=False, special=True)])
    settings = {
        "add_prefix_space": False,
        "bos_token": END_OF_TEXT,
        "clean_up_tokenization_spaces": False,
        "eos_token": END_OF_TEXT,
        "model_max_length": longest,
        "tokenizer_class": "GPT2Tokenizer",
        "unk_token": END_OF_TEXT,
    }
    disk.write_text(folder / TOKENIZER, made.to_str(pretty=True) + "\n")
    disk.write_json(folder / SETTINGS, settings, indent=2)


def refuse_other(folder: Path, encoding: Encoding) -> None:
    """See that a model's own tokenizer is ours: the same id for every token, and the same ids of a text.

    Another tokenizer with as many types would be used without an error, and its model would read nonsense. A folder
    without a tokenizer passes, with a warning, only where ours is GPT-2's own.

    Args:
        folder: of the model.
        encoding: our tokenizer.

    Raises:
        TokenizerError: it differs, can't be read, or isn't there.
    """
    if isinstance(encoding, JsonTokenizer):
        return  # it was taken from this base
    pair, file = tokenizer.files_in(folder), folder / TOKENIZER
    remedy = "use the tokenizer that the model was trained with (tokenizer.source), or another base"
    if file.exists():
        names, ids = _read(file)
        ours = tokenizer.names(encoding)
        for name in sorted(ours.keys() | names.keys()):
            if ours.get(name) != names.get(name):
                raise TokenizerError(
                    f"{file}: another tokenizer than ours: '{printable(name)}' has id {names.get(name)} there and "
                    f"{ours.get(name)} here; {remedy}"
                )
    elif pair:
        file, ids = pair[1], tokenizer.load(folder).encode_ordinary(PROBE)
    elif is_gpt2(encoding):
        log.warning("%s: no tokenizer beside the model; taken for GPT-2's own, as ours is", folder)
        return
    else:
        raise TokenizerError(
            f"{folder}: no tokenizer beside the model ({TOKENIZER}, or vocab.json and merges.txt), so nothing tells "
            "whether its tokens are ours; add the files that it was trained with"
        )
    wanted = encoding.encode_ordinary(PROBE)
    if ids != wanted:
        place = next(n for n in range(len(wanted) + 1) if ids[n : n + 1] != wanted[n : n + 1])
        near = encoding.decode(wanted[place : place + 4])
        raise TokenizerError(
            f"{file}: another tokenizer than ours: it gives other ids, from '{printable(near)}' on, for a text that was "
            f"tried; {remedy}"
        )


def is_gpt2(encoding: Encoding) -> bool:
    """Whether a tokenizer is GPT-2's own."""
    return encoding.n_vocab == GPT2_TYPES and all(
        encoding.encode_ordinary(text) == ids for text, ids in GPT2_IDS.items()
    )


def _read(file: Path) -> tuple[dict[str, int], list[int]]:
    """The vocabulary of a tokenizer.json, and its ids of the probe."""
    from tokenizers import Tokenizer

    try:
        found: Any = Tokenizer.from_str(json.dumps(disk.read_json(file, tokenizer.LARGEST)))
        found.no_truncation()
        found.no_padding()
        return found.get_vocab(), found.encode(PROBE, add_special_tokens=False).ids
    except disk.FileError as error:
        raise TokenizerError(str(error)) from None
    except Exception as error:  # the library's errors have no type of their own
        raise TokenizerError(f"{file}: not a tokenizer: {printable(error, 200)}") from None
