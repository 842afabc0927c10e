"""The `coderlplus` command line."""
