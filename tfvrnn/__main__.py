"""Run the command `tfvrnn` as `python -m tfvrnn`."""

from tfvrnn.cli import main

if __name__ == "__main__":
    main.main()
