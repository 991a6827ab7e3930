"""The command `gpt2-shakespeare`: a module for each of its words."""
