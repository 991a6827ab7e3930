"""Where every artefact lies, as a function of the scale and the row. dvc.yaml names the same places."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from gpt2_shakespeare.params import schema

# Inside a model's folder, beside config.json and model.safetensors:
HISTORY = "history.csv"  # losses at every evaluation
TRAINING = "training.json"  # how training ended
LAST = "last"  # weights of the last step, there only if the best ones are of an earlier step

DOWNLOADS = Path(".downloads")  # partial downloads: outside DVC's outs, which DVC deletes before a stage runs


@dataclass(frozen=True)
class Paths:
    """All paths of one scale, relative to the project's root."""

    scale: str

    @property
    def data(self) -> Path:
        return Path("data") / self.scale

    @property
    def raw(self) -> Path:
        """The corpora and the tokenizer's files, as `download` fetched or made them."""
        return self.data / "raw"

    @property
    def tokenizer(self) -> Path:
        return self.data / "tokenizer"

    @property
    def corpus_facts(self) -> Path:
        """Counts that later stages need: tokens and characters of each part."""
        return self.data / "corpus.json"

    def tokens(self, part: str) -> Path:
        """Token ids of `train`, `dev` or `val`."""
        return self.data / f"{part}.npy"

    @property
    def pretrain_tokens(self) -> Path:
        """Folder with the `train.npy` and `dev.npy` of the base's own corpus."""
        return self.data / "pretrain"

    @property
    def other_tokens(self) -> Path:
        """Folder with texts of other kinds than the corpus, which no model has seen: what is forgotten shows there."""
        return self.data / "other"

    @property
    def base(self) -> Path:
        return Path("models") / self.scale / "base"

    def model(self, row: str, seed: int) -> Path:
        """Model of a row; the base is one for all seeds."""
        return self.base if row == "base" else Path("models") / self.scale / row / str(seed)

    def evaluation(self, row: str, seed: int) -> Path:
        """Losses of a row; baselines and the base are one for all seeds."""
        name = f"{row}-{seed}" if row in schema.TRAINED_ROWS else row
        return (self.ensembles if row in schema.ENSEMBLES else self.data / "evaluation") / f"{name}.json"

    @property
    def ensembles(self) -> Path:
        return self.data / "ensembles"

    def token_losses(self, row: str, seed: int) -> Path:
        """Losses of every token of dev and val, beside the evaluation."""
        return self.evaluation(row, seed).with_suffix(".safetensors")

    def analysis(self, row: str, seed: int) -> Path:
        """Figures of a row's texts; those of `human`, which is val itself, and of the base are one for all seeds."""
        name = f"{row}-{seed}" if row in schema.TRAINED_ROWS else row
        return self.data / "analysis" / f"{name}.json"

    def decoding(self, row: str) -> Path:
        """The same figures for every temperature and top_p, with the first seed's model."""
        return self.data / "decoding" / f"{row}.json"

    @property
    def samples(self) -> Path:
        return self.data / "samples.json"

    @property
    def metrics(self) -> Path:
        return Path("metrics") / self.scale

    def checkpoints(self, name: str) -> Path:
        """Training state of a run that isn't done; outside DVC's outs, in a folder that git ignores."""
        return Path(".checkpoints") / self.scale / name

    def log(self, name: str) -> Path:
        """Wall times and machine facts of a stage: never an out, never in git."""
        return Path("logs") / self.scale / f"{name}.json"


def fresh(folder: Path) -> Path:
    """An empty folder; what was there is removed, as DVC does before it runs a stage."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder
