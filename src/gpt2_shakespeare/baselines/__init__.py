"""What counting reaches: the rows that every model is compared with. No torch."""
