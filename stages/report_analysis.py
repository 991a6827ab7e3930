"""Tables and figures of what the rows' texts are like into metrics/<scale>/."""

import logging

from stage import stage

from gpt2_shakespeare.params import schema
from gpt2_shakespeare.report import analysis


def main() -> None:
    logging.info("report: %s", analysis.write(schema.load()) / analysis.TABLES)


if __name__ == "__main__":
    stage(main)
