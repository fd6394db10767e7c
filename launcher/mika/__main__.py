"""`python -m mika` is `mika`."""

from mika.cli.main import main

if __name__ == "__main__":
    main()
