"""The schema of params.yaml. The only module that reads YAML; it never imports torch.

Every table below refuses keys that it doesn't know, and `load` reports all problems of a file at once,
each in one line that names the key.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from gpt2_shakespeare.errors import UserError


class ParamsError(UserError, ValueError):
    """params.yaml can't be used; the message has one line for each problem."""


def _number(value: Any) -> Any:
    """PyYAML reads `1e-4` as a string: let pydantic turn that into a float, but never a bool."""
    if isinstance(value, bool):
        raise ValueError("Input should be a number, not a boolean")
    return value


Count = Annotated[int, Field(gt=0, strict=True)]
Whole = Annotated[int, Field(ge=0, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**32, strict=True)]
Real = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Positive = Annotated[Real, Field(gt=0)]
NonNegative = Annotated[Real, Field(ge=0)]
FilePath = Annotated[str, Field(min_length=1, pattern=r"^[^\x00]+$")]
Probability = Annotated[Real, Field(ge=0, lt=1)]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sampling(Table):
    """How every row is sampled. temperature 0 means greedy."""

    temperature: NonNegative
    top_p: Annotated[Real, Field(gt=0, le=1)]
    max_new_tokens: Count
    samples_per_prompt: Count
    seed: Seed
    prompts: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class Analysis(Table):
    """What the texts' figures are taken from: see judge.py. Lengths are in tokens; temperature 0 means greedy."""

    samples: Annotated[int, Field(ge=2, strict=True)]
    prompt_tokens: Annotated[int, Field(ge=2, strict=True)]  # a trigram's context
    max_new_tokens: Count
    temperatures: Annotated[list[NonNegative], Field(min_length=1)]
    top_ps: Annotated[list[Annotated[Real, Field(gt=0, le=1)]], Field(min_length=1)]
    prefixes: Count
    prefix_tokens: Count
    recall_tokens: Count
    seed: Seed

    @model_validator(mode="after")
    def _no_setting_stands_twice(self) -> "Analysis":
        for name in ("temperatures", "top_ps"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: {values} names a value twice")
        return self

    def decodings(self) -> list[tuple[float, float]]:
        """Every (temperature, top_p) of the grid; greedy, which no top_p changes, is one of them."""
        return list(
            dict.fromkeys(
                (temperature, top_p if temperature else 1.0)
                for temperature in self.temperatures
                for top_p in self.top_ps
            )
        )


class Runtime(Table):
    """What the numbers may depend on beside the data: see runtime.py."""

    mode: Literal["reproducible", "fast"]
    device: Literal["auto", "cpu", "cuda"]
    processes: Count  # that share a training on this machine
    threads: Annotated[int, Field(gt=0, le=1024, strict=True)]
    precision: Literal["fp32", "bf16", "fp16"]
    compile: Annotated[bool, Field(strict=True)]


class Tokenizer(Table):
    source: Literal["bpe", "gpt2"]
    vocab_size: Annotated[int, Field(ge=257, le=65536, strict=True)]  # 256 bytes, <|endoftext|>, merges

    @model_validator(mode="after")
    def _gpt2_has_one_size(self) -> "Tokenizer":
        if self.source == "gpt2" and self.vocab_size != 50257:
            raise ValueError("vocab_size: GPT-2's own tokenizer has 50257 types; set vocab_size to 50257")
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
    """AdamW on a cosine schedule with linear warmup; Muon beside it if it has a learning rate: see optim.py."""

    learning_rate: Positive
    muon_learning_rate: Positive | None = None
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
    """Of rare token types in every training window: see data.Renaming."""

    share: Annotated[Real, Field(gt=0, le=1)]
    below: Count


class Training(Optimizer):
    """What every trained row has. Windows start every `stride` tokens; null means side by side."""

    stride: Count | None
    random_offsets: Annotated[bool, Field(strict=True)] = False
    renaming: Renaming | None = None
    spelling: Annotated[bool, Field(strict=True)] = False  # see model.Spelling
    sampled_types: Count | None = None  # see loss.Candidates
    batch_size: Count
    grad_accum_steps: Count
    embd_dropout: Probability
    attn_dropout: Probability
    resid_dropout: Probability
    eval_interval: Count
    eval_tokens: Count
    patience: Count | None

    def dropouts(self) -> dict[str, float]:
        """As the arguments of GPTConfig."""
        return {f"{kind}_dropout": getattr(self, f"{kind}_dropout") for kind in ("embd", "attn", "resid")}


class FromScratch(Training):
    """A model of our own from random weights, through one or more context lengths."""

    model: Model
    context: Annotated[list[Context], Field(min_length=1)]

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


class Pretraining(FromScratch):
    corpus: Literal["prose", "novels"]
    renaming: None = None  # this and spelling make up for a small text
    spelling: Literal[False] = False


class Base(Table):
    """Where the pretrained model comes from: the hub, the folder `base_path`, or our own pretraining."""

    source: Literal["hub", "path", "pretrain"]
    repo: Annotated[str, Field(min_length=1)]
    revision: Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
    pretrain: Pretraining


class FineTuning(Training):
    """Starts from the base; the number of epochs stands at the top of params.yaml."""

    block_size: Annotated[int, Field(ge=2, strict=True)]


class LoRA(FineTuning):
    """Fine-tuning of low-rank adapters (Hu et al. 2021) with everything else frozen."""

    spelling: Literal[False] = False
    muon_learning_rate: None = None  # a low-rank factor isn't a matrix to orthogonalise

    rank: Count
    alpha: Count  # what an adapter adds is scaled by alpha / rank


class Scale(Table):
    corpus: Literal["plays", "tinyshakespeare", "path"]
    tokenizer: Tokenizer
    runtime: Runtime
    checkpoint_interval: Count  # steps; no result depends on it
    base: Base
    scratch: FromScratch
    scratch_tuned: FromScratch
    finetune: FineTuning
    finetune_tuned: FineTuning
    finetune_lora: LoRA

    @model_validator(mode="after")
    def _windows_fit_our_own_base(self) -> "Scale":
        base = self.base.pretrain.model.block_size
        for name in ("finetune", "finetune_tuned", "finetune_lora"):
            size = getattr(self, name).block_size
            if self.base.source == "pretrain" and size > base:
                raise ValueError(
                    f"{name}.block_size: {size} is above the base's, {base} (base.pretrain.model.block_size)"
                )
        return self


class Params(Table):
    scale: str
    epochs: Count
    long_epochs: Count
    seeds: Annotated[list[Seed], Field(min_length=1)]
    corpus_path: FilePath
    base_path: FilePath
    sample: Sampling
    analysis: Analysis
    scales: Annotated[dict[str, Scale], Field(min_length=1)]

    @model_validator(mode="after")
    def _scale_is_there(self) -> "Params":
        if self.scale not in self.scales:
            raise ValueError(f"scale: '{self.scale}' is none of {', '.join(self.scales)}")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds: {self.seeds} names a seed twice")
        return self

    @property
    def at_scale(self) -> Scale:
        """The settings of the scale that is switched on."""
        return self.scales[self.scale]


# Row of the results table -> (section of the scale that it is trained with, key of its epochs).
# A further trained row is a line here, a stage in dvc.yaml and, if it wants its own settings, a section.
TRAINED_ROWS: dict[str, tuple[str, Literal["epochs", "long_epochs"] | None]] = {
    "scratch": ("scratch", None),
    "scratch_tuned": ("scratch_tuned", None),
    "finetune": ("finetune", "epochs"),
    "finetune_long": ("finetune", "long_epochs"),
    "finetune_tuned": ("finetune_tuned", "long_epochs"),
    "finetune_lora": ("finetune_lora", "long_epochs"),
}
MODEL_ROWS = ("base", *TRAINED_ROWS)
BASELINES = ("unigram", "trigram", "trigram_cache")
# Row -> (the trained row whose seeds' probabilities are averaged, whether a cache is mixed in as in trigram_cache).
ENSEMBLES = {
    "scratch_ensemble": ("scratch_tuned", False),
    "scratch_ensemble_cache": ("scratch_tuned", True),
    "finetune_ensemble": ("finetune_tuned", False),
}
ROWS = (*BASELINES, *MODEL_ROWS, *ENSEMBLES)


class _Loader(yaml.SafeLoader):
    """YAML where a key may stand once in a table: PyYAML would take the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r:.40} stands twice in one table", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check params.yaml.

    Raises:
        ParamsError: the file is missing, isn't YAML, or breaks the schema; one line for each problem.
    """
    path = Path(path)
    try:
        raw = yaml.load(path.read_bytes(), _Loader)
    except OSError as error:
        raise ParamsError(f"{path}: can't be read: {error.strerror}; run from the project's root") from None
    except (yaml.YAMLError, ValueError, RecursionError, LookupError, AttributeError) as error:
        raise ParamsError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    return parse(raw, str(path))


def parse(raw: Any, where: str = "params.yaml") -> Params:
    """Check an already parsed params.yaml; raises ParamsError as `load` does."""
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise ParamsError("\n".join(f"{where}: {_line(problem)}" for problem in error.errors())) from None


def _line(problem: Any) -> str:
    """One problem as pydantic reports it -> one line that names the key."""
    key = " ".join(".".join(str(part) for part in problem["loc"]).splitlines())
    kind, message = problem["type"], problem["msg"]
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(problem["loc"][-1]), _keys_beside(problem["loc"]), n=1)
        return f"{key}: unknown key" + (f"; did you mean '{near[0]}'?" if near else "")
    if kind == "missing":
        return f"{key}: missing"
    if kind == "value_error":  # raised above; the message starts with the key's own name
        message = message.removeprefix("Value error, ")
        return f"{key}.{message}" if key and not message.startswith("Input") else _join(key, message)
    return _join(key, message + _shown(problem["input"]))


def _join(key: str, message: str) -> str:
    return f"{key}: {message}" if key else message


def _keys_beside(loc: tuple[int | str, ...]) -> list[str]:
    """The keys of the table that a place lies in."""

    def table_in(annotation: Any) -> type[Table] | None:
        if isinstance(annotation, type) and issubclass(annotation, Table):
            return annotation
        return next(filter(None, map(table_in, get_args(annotation))), None)

    table: type[Table] = Params
    for part in loc[:-1]:  # a list's index or the name of a scale leads no deeper
        if part in table.model_fields:
            table = table_in(table.model_fields[str(part)].annotation) or table
    return sorted(table.model_fields)


def _shown(value: Any) -> str:
    try:
        return "" if isinstance(value, dict | list) else f" (it is {value!r:.80})"
    except ValueError:  # Python writes out no whole number of more than 4,300 digits
        return " (it is a huge number)"


def change(table: Sampling, values: dict[str, Any]) -> Sampling:
    """The table with some values changed (None leaves one as it is), checked; raises ParamsError."""
    given = {key: value for key, value in values.items() if value is not None}
    try:
        return Sampling.model_validate(table.model_dump() | given)
    except ValidationError as error:
        raise ParamsError("; ".join(map(_line, error.errors()))) from None
