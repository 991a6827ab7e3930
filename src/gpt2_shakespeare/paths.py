"""Where every artefact lies, as a function of scale, row and seed. dvc.yaml names the same places."""

from dataclasses import dataclass
from pathlib import Path

from gpt2_shakespeare import disk

EMPTY = "EMPTY.txt"  # says why nothing else is in a folder: DVC warns of a folder without any file

# Inside a model's folder, beside config.json and model.safetensors:
HISTORY = "history.csv"  # losses at every evaluation, of our own base; those of a row are at Paths.history
TRAINING = "training.json"  # how training ended
LAST = "last"  # weights of the last step, there only if the best ones are of an earlier step

DOWNLOADS = Path(".downloads")  # partial downloads: outside DVC's outs, which DVC deletes before a stage runs
GGUF = "model.gguf"  # in Paths.raw_base, where the base is of a package
BASE_SEED = 0  # the base is one model for all seeds


def _named(row: str, seed: int | None) -> str:
    if row == "base":
        seed = BASE_SEED
    return row if seed is None else f"{row}-{seed}"


@dataclass(frozen=True)
class Paths:
    """All paths of one scale, relative to the project's root.

    A `seed` is that of a trained row; the base, baselines, ensembles, adapting rows and `human` (val itself) have one file for all.
    """

    scale: str

    @property
    def data(self) -> Path:
        return Path("data") / self.scale

    @property
    def settings(self) -> Path:
        """What params.yaml comes to at this scale, a file for each reader: params/resolved.py."""
        return self.data / "settings"

    @property
    def raw(self) -> Path:
        """The texts and the tokenizer's files, as `download` fetched or made them."""
        return self.data / "raw"

    @property
    def raw_base(self) -> Path:
        """What `download` fetched of the base: model and tokenizer, or of one in `base_path` the tokenizer alone."""
        return self.raw / "base"

    @property
    def corpus(self) -> Path:
        """All that training may see of the corpus: the tokenizer, train and dev."""
        return self.data / "corpus"

    @property
    def tokenizer(self) -> Path:
        return self.corpus / "tokenizer"

    @property
    def corpus_facts(self) -> Path:
        """Counts that later stages need: tokens and characters of each part."""
        return self.corpus / "facts.json"

    def tokens(self, part: str) -> Path:
        """Token ids of `train`, `dev` or `val`."""
        return (self.data if part == "val" else self.corpus) / f"{part}.npy"

    @property
    def pretrain_tokens(self) -> Path:
        """Folder with the `train.npy` and `dev.npy` of the base's own corpus."""
        return self.data / "pretrain"

    @property
    def other_tokens(self) -> Path:
        """Folder with texts of other kinds than the corpus, which no model has seen: what is forgotten shows there."""
        return self.data / "other"

    def model(self, row: str, seed: int | None = None) -> Path:
        return Path("models") / self.scale / row / str(BASE_SEED if row == "base" else seed)

    @property
    def base(self) -> Path:
        return self.model("base")

    def history(self, row: str, seed: int | None = None) -> Path:
        """Losses at every evaluation during training."""
        return self.data / "histories" / f"{_named(row, seed)}.csv"

    def evaluation(self, row: str, seed: int | None = None) -> Path:
        """Losses of a model."""
        return self.data / "evaluation" / f"{_named(row, seed)}.json"

    def token_losses(self, row: str, seed: int | None = None) -> Path:
        """Losses of every token of dev and val, beside the evaluation."""
        return self.evaluation(row, seed).with_suffix(".safetensors")

    def baseline(self, row: str) -> Path:
        return self.data / "baselines" / f"{row}.json"

    @property
    def ensembles(self) -> Path:
        return self.data / "ensembles"

    def ensemble(self, row: str) -> Path:
        return self.ensembles / f"{row}.json"

    @property
    def adapting(self) -> Path:
        return self.data / "adapting"

    def adapted(self, row: str, way: str) -> Path:
        """Losses of a row's models that go on learning in some way."""
        return self.adapting / f"{row}-{way}.json"

    @property
    def learning_curves(self) -> Path:
        """Losses of what was trained on shares of train."""
        return self.data / "learning_curves"

    def learned(self, row: str, share: float, suffix: str = ".json") -> Path:
        """Losses of a row that was trained on a share of train; with the suffix .safetensors, of every token of val."""
        return self.learning_curves / f"{row}-{share}{suffix}"

    @property
    def learned_baselines(self) -> Path:
        """Losses of what counts shares of train."""
        return self.learning_curves / "baselines.json"

    def texts(self, row: str, seed: int | None = None) -> Path:
        """Samples and figures of a row's texts."""
        return self.data / "texts" / f"{_named(row, seed)}.json"

    def decoding(self, row: str) -> Path:
        """The figures for every temperature and top_p, with the first seed's model."""
        return self.data / "decoding" / f"{row}.json"

    @property
    def metrics(self) -> Path:
        return Path("metrics") / self.scale

    @property
    def rows(self) -> Path:
        """One file a row: what `dvc metrics show` prints."""
        return self.metrics / "rows"

    def checkpoints(self, name: str) -> Path:
        """Training state of a run that isn't done; outside DVC's outs, in a folder that git ignores."""
        return Path(".checkpoints") / self.scale / name

    def log(self, name: str) -> Path:
        """Wall times and machine facts of a stage: never an out, never in git."""
        return Path("logs") / self.scale / f"{name}.json"


def fresh(folder: Path) -> Path:
    """An empty folder; what was there is removed, as DVC does before it runs a stage."""
    disk.remove(folder)
    folder.mkdir(parents=True)
    return folder
