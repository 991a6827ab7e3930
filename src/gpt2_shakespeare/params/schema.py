"""The tables of params.yaml, as types: every one refuses keys that it doesn't know. No torch."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gpt2_shakespeare.errors import UserError


class ParamsError(UserError, ValueError):
    """params.yaml can't be used; the message has one line for each problem."""


def _number(value: Any) -> Any:
    """Anything that pydantic reads as a float, but no bool."""
    if isinstance(value, bool):
        raise ValueError("Input should be a number, not a boolean")
    return value


def _phases(value: Any) -> Any:
    """`{64: 1, 128: 2}`: the phases' window lengths, each with its epochs, in the order that they stand in."""
    if isinstance(value, dict) and not value.keys() & {"block_size", "epochs"}:
        return [{"block_size": size, "epochs": epochs} for size, epochs in value.items()]
    return value


def _once(values: list) -> list:
    if len(set(values)) != len(values):
        raise ValueError(f"{values} names one twice")
    return values


Once = AfterValidator(_once)
Count = Annotated[int, Field(gt=0, strict=True)]
Whole = Annotated[int, Field(ge=0, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**32, strict=True)]
Real = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Positive = Annotated[Real, Field(gt=0)]
NonNegative = Annotated[Real, Field(ge=0)]
FilePath = Annotated[str, Field(min_length=1, pattern=r"^[^\x00]+$")]
Probability = Annotated[Real, Field(ge=0, lt=1)]
# Of a row or a scale: it becomes part of DVC's stage names, of paths and of commands.
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sampling(Table):
    """How every row is sampled. A temperature of 0 is greedy decoding."""

    temperature: NonNegative
    top_p: Annotated[Real, Field(gt=0, le=1)]
    max_new_tokens: Count
    samples_per_prompt: Count
    seed: Seed
    prompts: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class Analysis(Table):
    """How many texts their figures are taken from, and how long they are, in tokens: see texts/judge.py."""

    samples: Annotated[int, Field(ge=2, strict=True)]
    prompt_tokens: Annotated[int, Field(ge=2, strict=True)]  # a trigram's context
    max_new_tokens: Count
    temperatures: Annotated[list[NonNegative], Field(min_length=1), Once]
    top_ps: Annotated[list[Annotated[Real, Field(gt=0, le=1)]], Field(min_length=1), Once]
    prefixes: Count
    prefix_tokens: Count
    recall_tokens: Count
    seed: Seed

    def decodings(self) -> list[tuple[float, float]]:
        """Every (temperature, top_p) of the grid; greedy decoding, which top_p does not change, stands there once."""
        return list(
            dict.fromkeys(
                (temperature, top_p if temperature else 1.0)
                for temperature in self.temperatures
                for top_p in self.top_ps
            )
        )


class Runtime(Table):
    """What the figures depend on beside data and settings: see runtime.py."""

    mode: Literal["reproducible", "fast"]
    device: Literal["auto", "cpu", "cuda"]
    processes: Count  # that share a training on this machine
    threads: Annotated[int, Field(gt=0, le=1024, strict=True)]
    precision: Literal["fp32", "bf16", "fp16"]
    evaluation_precision: Literal["fp32", "bf16"]  # of the losses that the table shows
    compile: Annotated[bool, Field(strict=True)]

    def for_evaluation(self) -> "Runtime":
        """The same, with the precision of evaluation."""
        return self.model_copy(update={"precision": self.evaluation_precision})


class Tokenizer(Table):
    """Trained on the corpus (`bpe`), GPT-2's own, or the base's."""

    source: Literal["bpe", "gpt2", "base"]
    # 256 bytes, <|endoftext|>, merges; none where the base brings its own
    vocab_size: Annotated[int, Field(ge=257, le=65536, strict=True)] | None = None

    @model_validator(mode="after")
    def _its_size_is_known(self) -> "Tokenizer":
        if self.source == "gpt2" and self.vocab_size != 50257:
            raise ValueError("vocab_size: GPT-2's own tokenizer has 50257 types; set vocab_size to 50257")
        if self.source == "bpe" and self.vocab_size is None:
            raise ValueError("vocab_size: how many types the tokenizer learns, where tokenizer.source is bpe")
        if self.source == "base" and self.vocab_size is not None:
            raise ValueError("vocab_size: the base's tokenizer has its own; leave it empty")
        return self


class Model(Table):
    """Shape of a model that starts from random weights; vocab_size comes from the tokenizer."""

    block_size: Annotated[int, Field(ge=2, strict=True)]
    n_layer: Count
    n_head: Count
    n_embd: Count

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "Model":
        if self.n_embd % self.n_head:
            raise ValueError(f"n_embd: {self.n_embd} is not divisible by n_head {self.n_head}")
        return self


class Context(Table):
    """One phase of training: windows of block_size tokens, walked over `epochs` times (may be a fraction)."""

    block_size: Annotated[int, Field(ge=2, strict=True)]
    epochs: Positive


class Optimizer(Table):
    """AdamW on a cosine schedule with linear warmup; Muon beside it if it has a learning rate: see training/optimizers.py."""

    learning_rate: Positive
    muon_learning_rate: Positive | None
    min_lr: NonNegative
    warmup_steps: Whole
    beta1: Probability
    beta2: Probability
    weight_decay: NonNegative
    decay: Literal["matrices", "all"]
    grad_clip: Positive

    @model_validator(mode="after")
    def _min_lr_is_lower(self) -> "Optimizer":
        if self.min_lr > self.learning_rate:
            raise ValueError(f"min_lr: {self.min_lr} is above learning_rate {self.learning_rate}")
        return self


class Renaming(Table):
    """Rare token types get other names in every training window: see tokens/renaming.py."""

    share: Annotated[Real, Field(gt=0, le=1)]
    below: Count


class Training(Optimizer):
    """What every training has. Windows start every `stride` tokens; null puts them side by side."""

    share: Annotated[
        Real, Field(gt=0, le=1)
    ]  # of the training text that is used: its end, the part nearest to val
    stride: Count | None
    random_offsets: Annotated[bool, Field(strict=True)]
    renaming: Renaming | None
    spelling: Annotated[bool, Field(strict=True)]  # see model/spelling.py
    sampled_types: Count | None  # see model/loss.py, Candidates
    batch_size: Count
    grad_accum_steps: Count
    dropout: Probability  # of embeddings and residuals
    attn_dropout: Probability
    eval_interval: Count
    eval_tokens: Count
    patience: Count | None

    def dropouts(self) -> dict[str, float]:
        """As the arguments of GPTConfig."""
        return {
            "embd_dropout": self.dropout,
            "attn_dropout": self.attn_dropout,
            "resid_dropout": self.dropout,
        }


class FromScratch(Training):
    """A model of our own from random weights, trained through one or more context lengths."""

    model: Model
    context: Annotated[list[Context], BeforeValidator(_phases), Field(min_length=1)]

    @model_validator(mode="after")
    def _context_fits_model(self) -> "FromScratch":
        for phase in self.context:
            if phase.block_size > self.model.block_size:
                raise ValueError(
                    f"context: block_size {phase.block_size} is above the model's {self.model.block_size}"
                )
        if self.context[-1].block_size < self.model.block_size:
            raise ValueError(
                f"context: the last block_size {self.context[-1].block_size} is below the model's "
                f"{self.model.block_size}, whose later positions would never be trained"
            )
        return self

    @property
    def longest_window(self) -> int:
        return self.model.block_size


class Pretraining(FromScratch):
    """Of our own base, on a large text: renaming and spelling make up for a small one."""

    renaming: None
    spelling: Literal[False]


class Base(Table):
    """Where the pretrained model comes from: the hub, the folder `base_path`, a Python package that has one in it, or our
    own pretraining on a corpus."""

    source: Literal["hub", "path", "package", "pretrain"]
    package: Literal["smollm2-135m"] | None = None  # its name in corpora/assets.yaml
    corpus: Literal["prose", "novels"] | None = None
    repo: Annotated[str, Field(min_length=1)]
    revision: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]

    @model_validator(mode="before")
    @classmethod
    def _of_the_source_alone(cls, values: Any) -> Any:
        """`-S scales.laptop.base.source=path` leaves the corpus of our own pretraining there: nobody reads it then."""
        if isinstance(values, dict) and values.get("source") in ("hub", "path", "package", "pretrain"):
            other = {"corpus": "pretrain", "package": "package"}
            return {
                key: v for key, v in values.items() if other.get(key, values["source"]) == values["source"]
            }
        return values

    @model_validator(mode="after")
    def _pretraining_has_a_corpus(self) -> "Base":
        if self.source == "pretrain" and self.corpus is None:
            raise ValueError("corpus: prose or novels, where base.source is pretrain")
        if self.source == "package" and self.package is None:
            raise ValueError("package: smollm2-135m, where base.source is package")
        return self


class FineTuning(Training):
    """Starts from the base; windows have block_size tokens."""

    block_size: Annotated[int, Field(ge=2, strict=True)]

    @property
    def longest_window(self) -> int:
        return self.block_size


class SameShape(FineTuning):
    """A model of the base's shape from random weights: what differs from fine-tuning is the pretraining alone."""


class LoRA(FineTuning):
    """Fine-tuning of low-rank adapters (Hu et al. 2021); everything else is frozen."""

    rank: Count
    alpha: Count  # what an adapter adds is scaled by alpha / rank
    spelling: Literal[False]
    muon_learning_rate: None  # Muon orthogonalises whole matrices, and a low-rank factor is none


class Scale(Table):
    """What all rows of a scale share."""

    corpus: Literal["plays", "tinyshakespeare", "path"]
    tokenizer: Tokenizer
    runtime: Runtime
    checkpoint_interval: Count  # steps; no result depends on it
    model: Model  # the shape of our own models, unless a row says otherwise; no window is longer than its block_size
    base: Base
    pretraining: Pretraining | None  # of our own base

    @model_validator(mode="after")
    def _the_tokenizer_fits_the_base(self) -> "Scale":
        if self.tokenizer.source == "base" and self.base.source == "pretrain":
            raise ValueError(
                "tokenizer: a base that is pretrained here has no tokenizer of its own; source bpe or gpt2"
            )
        if self.tokenizer.source != "base" and self.base.source == "package":
            raise ValueError(
                "tokenizer: a base from a package reads its own tokenizer only; source base, vocab_size empty"
            )
        return self


class Ensemble(Table):
    """The models of all seeds of a row as one: their probabilities are averaged."""

    of: str
    cache: Annotated[bool, Field(strict=True)] = False  # mixed with a cache of the text so far


Way = Literal["dynamic", "mixed", "both", "ensemble_dynamic", "ensemble_mixed", "ensemble_both"]


class Adapting(Table):
    """Rows that go on learning from what they have predicted: each of these trained rows, in each of these ways.

    `dynamic` moves the weights, `mixed` mixes the model with counting, `both` does both; `ensemble` has the models of
    all seeds in place of the lowest one's. See adapting/adapt.py.
    """

    # one at least: DVC's matrix makes no folder for the report out of an empty list
    rows: Annotated[list[str], Field(min_length=1), Once]
    ways: Annotated[list[Way], Field(min_length=1), Once]


class LearningCurves(Table):
    """Trained rows that are also trained, with the lowest seed, on shares of what they train on: its end."""

    rows: Annotated[list[str], Once]  # none: only what counts
    shares: Annotated[list[Annotated[Real, Field(gt=0, lt=1)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _in_order(self) -> "LearningCurves":
        if sorted(set(self.shares)) != self.shares:
            raise ValueError(f"shares: {self.shares} must ascend, and name none twice")
        return self


class RowLists(Table):
    """The trained rows, by what they need: nothing, or the base.

    Settings and ensembles of a row that is not listed are taken for a mistake, unless the lists are called partial.
    """

    scratch: list[Name]
    finetune: list[Name]
    partial: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _finetune_is_there(self) -> "RowLists":
        if "finetune" not in self.finetune:
            raise ValueError("finetune: the row finetune must stay; `epochs` is about it")
        return self


class TopLevel(Table):
    """params.yaml but for the layers, which `layers.py` merges first."""

    scale: str
    epochs: Count
    long_epochs: Count
    seeds: Annotated[list[Seed], Field(min_length=1), Once]
    corpus_path: FilePath
    base_path: FilePath
    rows: RowLists
    ensembles: dict[Name, Ensemble]
    adapting: Adapting
    learning_curves: LearningCurves
    sample: Sampling
    analysis: Analysis
