"""The quick start: a small world of programs, a model made on the spot, and plain GRPO against CodeRL+ on two CPU cores."""
