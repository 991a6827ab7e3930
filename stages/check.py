"""Check all of params.yaml, and write the settings of each stage, which the other stages depend on.

With --show, print what is in force for a row, and where each value is written:

    python stages/check.py --show scratch_tuned
    python stages/check.py --show finetune --scale paper
"""

import argparse
import json

from stage import stage, to_root

from gpt2_shakespeare import disk, params, paths
from gpt2_shakespeare.params import resolved
from gpt2_shakespeare.params.layers import dotted


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--show", metavar="ROW", help="print the settings of a trained row; write nothing")
    parser.add_argument("--scale", help="another one than params.yaml switches on; with --show")
    args = parser.parse_args()
    if args.scale and not args.show:
        parser.error("--scale goes with --show")

    if args.show:
        to_root()
    settings = params.load()
    if args.show:
        print(shown(settings, args.show, args.scale or settings.scale))
        return
    out = paths.fresh(paths.Paths(settings.scale).settings)
    for name, table in resolved.tables(settings).items():
        disk.write_json(out / f"{name}.json", table, indent=1)


def shown(settings: params.Params, name: str, scale: str) -> str:
    """A row's settings, one a line, each with the place in params.yaml that it comes from."""
    if scale not in settings.scales:
        raise params.ParamsError(f"scale '{scale}' is none of {', '.join(settings.scales)}")
    at_scale = settings.scales[scale]
    rows = {row.name: row for row in at_scale.trained}
    if name not in rows:
        raise params.ParamsError(f"row '{name}' is none of the trained rows {', '.join(rows)}")
    lines = [
        (dotted(place), value, dotted(written)) for place, value, written in at_scale.merged[name].leaves()
    ]
    if rows[name].needs_base and "epochs" not in at_scale.merged[name].values:
        source = "epochs" if name == "finetune" else "long_epochs"
        lines.insert(0, ("epochs", rows[name].epochs, source))
    pairs = [(f"{key}: {json.dumps(value)}", where) for key, value, where in lines]
    width = max(len(pair) for pair, _ in pairs)
    return "\n".join([f"# {name} at scale {scale}", *(f"{pair:{width}}  # {where}" for pair, where in pairs)])


if __name__ == "__main__":
    stage(main)
