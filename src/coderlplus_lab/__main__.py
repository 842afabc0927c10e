"""`python -m coderlplus_lab`: the command `coderlplus-lab`."""

from coderlplus_lab.cli import main

if __name__ == "__main__":
    main()
