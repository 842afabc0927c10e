"""Evaluation: generation with a Hugging Face model, pass@k with intervals, and output prediction."""
