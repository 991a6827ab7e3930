"""A model from the Hugging Face hub, its bytes checked against the registry or against what the hub announces."""

import logging
import os
import re
from pathlib import Path

from gpt2_shakespeare.corpora.assets import HUB_PINS, AssetError
from gpt2_shakespeare.corpora.transfer import Refused, plain
from gpt2_shakespeare.disk import FileError, install, mismatch, read_json
from gpt2_shakespeare.errors import printable

log = logging.getLogger(__name__)

WEIGHTS = "model.safetensors"  # never a pickle
INDEX = f"{WEIGHTS}.index.json"  # where there are several files of weights
FILES = ("config.json", "generation_config.json", WEIGHTS)
OPTIONAL = ("generation_config.json", "tokenizer_config.json")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\.safetensors")


def fetch_hub(
    repo_id: str, revision: str, into: Path, *, tokenizer: bool | None = None, endpoint: str | None = None
) -> Path:
    """Puts a model in Hugging Face format into a folder as plain files: config, generation settings, weights, tokenizer.

    Goes through huggingface_hub and its cache (HF_HOME, HF_HUB_OFFLINE), which checks sizes only. So the
    bytes are checked here: against `HUB_PINS` for a revision pinned there, else the hash the hub announces.
    Only safetensors are asked for, since pickled weights run code when read.

    Args:
        repo_id: as in "openai-community/gpt2".
        revision: a commit hash; or a branch or tag, and all files are of the commit that it names now.
        into: the folder to fill, once every file is had and checked.
        tokenizer: True for the files of its tokenizer too, False for those only if the repository has them; a revision
            whose files are pinned is then taken as it is pinned.
        endpoint: the hub's address; None reads HF_ENDPOINT.

    Returns:
        `into`.

    Raises:
        AssetError: a file can't be had, or has the wrong bytes.
    """
    from huggingface_hub import constants

    endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    pins = HUB_PINS.get((repo_id, revision), {})
    files: dict[str, Path] = {}
    commit = revision
    wanted = [*FILES, *(TOKENIZER if tokenizer or (tokenizer is False and not pins) else ())]
    optional = {name for name in (*OPTIONAL, *(() if tokenizer else TOKENIZER), WEIGHTS) if name not in pins}
    for name in wanted:  # grows by the shards
        try:
            path = _hub_file(repo_id, commit, name, endpoint, pins.get(name), name in optional)
            if name == WEIGHTS and path is None:
                index = _hub_file(repo_id, commit, INDEX, endpoint, None, True)
                if index is None:
                    raise Refused("the repository has none (weights in other formats are not read)")
                files[INDEX] = index
                wanted += _shards(index)
        except Refused as refusal:
            raise AssetError(
                f"{repo_id} at revision {revision}: {name} could not be fetched from {endpoint}: {refusal}. "
                f"Needed are {', '.join(FILES)}; if you have them, set base.source=path and base_path to "
                "their folder, or pretrain a small base on the spot with base.source=pretrain"
            ) from refusal
        if path:
            files[name] = path
            commit = path.parent.name  # a branch may move between two files
    try:
        for name, path in files.items():
            install(path, into / name)
    except OSError as error:
        raise AssetError(
            f"can't write {repo_id} to {into}: {plain(error)}; check space and rights"
        ) from error
    return into


def _hub_file(
    repo_id: str, revision: str, name: str, endpoint: str, pin: tuple[str, int] | None, optional: bool
) -> Path | None:
    """Brings one checked file to huggingface_hub's cache; None if it is optional and the repository has none.

    Wrong bytes are deleted from the cache, and asked for once more.
    """
    from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    history = ""
    for _ in range(2):
        try:
            # A commit never changes, so a cached file will do; hf_hub_download opens a socket even then.
            is_commit = re.fullmatch("[0-9a-f]{40}", revision)
            cached = try_to_load_from_cache(repo_id, name, revision=revision) if is_commit else None
            if cached is _CACHED_NO_EXIST and optional:
                return None
            if not isinstance(cached, str):
                cached = hf_hub_download(repo_id, name, revision=revision, endpoint=endpoint)
            path = Path(cached)
            digest, size = pin or (_announced_hash(path, repo_id, revision, endpoint), None)
            wrong = mismatch(path, digest, size)
            if not wrong:
                return path
            log.warning("%s: %s; deleted", path, wrong)
            history = f"{wrong}; then "
            path.resolve().unlink()
            path.unlink(missing_ok=True)
        except LocalEntryNotFoundError as error:  # "an error happened": what it was is behind it
            raise Refused(history + plain(error.__cause__ or error)) from error
        except EntryNotFoundError as error:
            if optional:
                return None
            raise Refused("the repository has none") from error
        except Exception as error:  # of this or that HTTP library, by huggingface_hub's version
            raise Refused(history + plain(error)) from error
    raise Refused(f"{wrong}, twice")


def _shards(index: Path) -> list[str]:
    """The files of weights that an index names, in order."""
    try:
        named = read_json(index, 2**26).get("weight_map")
    except FileError as error:
        raise Refused(plain(error)) from None
    found = set(named.values()) if isinstance(named, dict) else set()
    wrong = sorted(repr(name) for name in found if not isinstance(name, str) or not SHARD.fullmatch(name))
    if wrong or not found:
        raise Refused(f"{INDEX} names no file of weights: {printable(wrong[0]) if wrong else 'it is empty'}")
    return sorted(found)


def _announced_hash(path: Path, repo_id: str, revision: str, endpoint: str) -> str:
    """The hash the hub gave with a cached file: the name of the blob its link leads to, or else asked for."""
    if path.is_symlink():
        digest = os.readlink(path).rsplit("/", 1)[-1]
    else:  # a cache without links
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(repo_id, path.name, revision=revision, endpoint=endpoint)
        digest = get_hf_file_metadata(url).etag or ""
    if not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", digest):
        raise Refused(f"{endpoint} announces no hash to check it against (its ETag is {digest!r})")
    return digest
