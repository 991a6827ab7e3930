"""From texts to token ids: tokenizers, the split, windows and batches. No torch."""
