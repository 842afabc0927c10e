"""A small world of programs on lists of digits: its problems, tokenizer and model, and the warm start that teaches the
model."""
