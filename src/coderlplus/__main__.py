"""`python -m coderlplus`: the command `coderlplus`."""

from coderlplus.cli import main

if __name__ == "__main__":
    main()
