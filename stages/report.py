"""Table, figures and samples of all rows into metrics/<scale>/."""

import argparse
import logging

from stage import stage

from gpt2_shakespeare.params import schema
from gpt2_shakespeare.report import table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", help="print the table that is there; write nothing")
    args = parser.parse_args()

    params = schema.load()
    if args.print:
        print(table.summary(params.scale))
    else:
        logging.info("report: %s", table.write(params) / table.TABLE_MD)


if __name__ == "__main__":
    stage(main)
