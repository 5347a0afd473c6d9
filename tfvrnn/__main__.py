"""`python -m tfvrnn`: the command `tfvrnn`."""

from tfvrnn.cli import main

if __name__ == "__main__":
    main.main()
