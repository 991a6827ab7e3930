"""The built-in texts for a first run with no network: mock-Elizabethan plays, and plain prose to pretrain on.

They show that everything works; they are not Shakespeare. A small grammar writes them. `grammar.yaml` has templates, whose
{slots} are filled by other templates or by words of a trade (the sea, the kitchen, the law, ...) from
`words.yaml`. Three things give a language model something to learn. A scene keeps to its trade and its topic;
a speech answers the speech before it; and each player has a tic and an oath of their own.

The prose is told with the same words and much of the same grammar, but in modern English ("you", not "thou"),
so a model that has read the prose has a head start on the plays.
"""

from gpt2_shakespeare.corpora.pastiche.narrator import prose
from gpt2_shakespeare.corpora.pastiche.playwright import plays

__all__ = ["plays", "prose"]
