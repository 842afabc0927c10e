"""Runs the first Python snippet of a README that needs no trainer, and compares what it prints with its comments."""

import contextlib
import io
import re
import sys
from pathlib import Path

text = Path(sys.argv[1]).read_text(encoding="utf-8")
snippets = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
snippet = next(each for each in snippets if "GRPOTrainer" not in each)
with contextlib.redirect_stdout(io.StringIO()) as out:
    exec(compile(snippet, sys.argv[1], "exec"), {})
said = [line.partition("  # ")[2] for line in snippet.splitlines() if line.startswith("print(")]
if out.getvalue().splitlines() != said:
    sys.exit(f"the snippet prints\n{out.getvalue()}instead of what its comments say")
