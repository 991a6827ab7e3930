"""What is downloaded or written here: texts, tokenizer files and weights, each pinned by its hash. No torch."""
