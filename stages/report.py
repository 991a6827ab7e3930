"""Tables, pictures and pages of all rows into metrics/<scale>/."""

import argparse
import logging

from stage import collect, stage, to_root
from progress import working

from gpt2_shakespeare.params import load
from gpt2_shakespeare.paths import Paths
from gpt2_shakespeare.report.summary import summary
from gpt2_shakespeare.report.writing import TABLE_MD, write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", help="print the table that is there; write nothing")
    args = parser.parse_args()

    if args.print:
        to_root()
    params = load()
    if args.print:
        print(summary(params.scale))
    else:
        data = Paths(params.scale).data
        read = ("histories", "evaluation", "adapting", "learning_curves", "texts", "decoding")
        collect(params, *(data / name for name in read))
        with working("report"):
            folder = write(params)
        logging.info("report: %s", folder / TABLE_MD)


if __name__ == "__main__":
    stage(main)
