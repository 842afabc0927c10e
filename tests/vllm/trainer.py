"""`coderlplus train` where vLLM is a server and the trainer has no GPU: `python trainer.py train CONFIG.yaml`."""

import cpu_weights

from coderlplus.cli import main

if __name__ == "__main__":
    cpu_weights.on_trainer()
    main()
