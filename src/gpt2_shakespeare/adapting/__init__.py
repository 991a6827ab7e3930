"""Rows that go on learning from the text that they are measured on, after they have predicted it."""
