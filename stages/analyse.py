"""Figures of the texts of one row: of `human`, or of a model with one seed, or with --grid of all decoding settings."""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from stage import conditions, stage

from gpt2_shakespeare import config, data, judge, paths, runtime, sample, tokenizer
from gpt2_shakespeare.model import GPT

DECIMALS = 6
PARTS = ("train", "dev", "val")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", choices=("human", *config.MODEL_ROWS))
    parser.add_argument("--seed", type=int, default=0, help="human text and the base are one for all seeds")
    parser.add_argument("--grid", action="store_true", help="every temperature and top_p")
    args = parser.parse_args()

    params = config.load()
    at, settings = paths.Paths(params.scale), params.analysis
    machine = runtime.start(params.at_scale.runtime)
    encoding = tokenizer.load(at.tokenizer)
    tokens = {part: data.load_tokens(at.tokens(part), encoding.n_vocab) for part in PARTS}
    jury = judge.Judge(encoding, tokens["train"], tokens["dev"], tokens["val"])

    length = settings.prompt_tokens + settings.max_new_tokens
    pieces = judge.cut(tokens["val"], settings.samples, length, str(at.tokens("val")))
    prompts, human = np.split(pieces, [settings.prompt_tokens], axis=1)
    if args.row == "human":
        write(at.analysis("human", 0), {"figures": jury.figures(prompts, human)})
        return

    model = GPT.from_pretrained(at.model(args.row, args.seed)).to(machine.device)

    def figures(temperature: float, top_p: float) -> dict:
        texts = continued(model, prompts, settings.max_new_tokens, temperature, top_p, settings.seed)
        decoding = {"temperature": temperature, "top_p": top_p}
        return {**decoding, "figures": jury.figures(prompts, texts)}

    out = at.decoding(args.row) if args.grid else at.analysis(args.row, args.seed)
    with conditions(at.log(f"{out.parent.name}-{out.stem}"), machine):
        if args.grid:
            write(out, {"cells": [figures(*decoding) for decoding in settings.decodings()]})
            return
        result = figures(params.sample.temperature, params.sample.top_p)
        length = settings.prefix_tokens + settings.recall_tokens
        for part in ("train", "val"):  # what it can't have learned by heart is the control
            pieces = judge.cut(tokens[part], settings.prefixes, length, str(at.tokens(part)))
            prefixes, originals = np.split(pieces, [settings.prefix_tokens], axis=1)
            greedy = continued(model, prefixes, settings.recall_tokens, 0, 1, settings.seed)
            result[f"recall_{part}"] = jury.recall(greedy, originals)
        write(out, result)


def continued(
    model: GPT, prompts: np.ndarray, max_new_tokens: int, temperature: float, top_p: float, seed: int
) -> np.ndarray:
    """What the model goes on with after each prompt, (B, max_new_tokens); a seed a text, so no text depends on others."""
    idx = torch.from_numpy(prompts).to(model.transformer.wte.weight.device)
    generators = [torch.Generator().manual_seed(seed + n) for n in range(len(prompts))]
    texts = sample.generate(
        model, idx, max_new_tokens, temperature=temperature, top_p=top_p, generator=generators
    )
    return texts[:, prompts.shape[1] :].cpu().numpy()


def write(out: Path, facts: dict) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(rounded(facts), indent=1) + "\n")


def rounded(value):
    """Numbers inside to a fixed number of decimals."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, DECIMALS) if isinstance(value, float) else value


if __name__ == "__main__":
    stage(main)
