"""params.yaml: its schema, its layers, and the rows of the table that follow from it. No torch."""

from gpt2_shakespeare.params.load import Params, change, load, parse
from gpt2_shakespeare.params.rows import Row
from gpt2_shakespeare.params.schema import ParamsError

__all__ = ["Params", "ParamsError", "Row", "change", "load", "parse"]
