"""Reinforcement learning of code models with execution semantics alignment (CodeRL+, arXiv 2510.18471)."""

__version__ = "0.1.0"
