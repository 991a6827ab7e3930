"""Tables and figures of what the rows' texts are like into metrics/<scale>/."""

import logging

from stage import stage

from gpt2_shakespeare import config, report_analysis


def main() -> None:
    logging.info("report: %s", report_analysis.write(config.load()) / report_analysis.TABLES)


if __name__ == "__main__":
    stage(main)
