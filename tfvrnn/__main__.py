"""`python -m tfvrnn`: the command `tfvrnn`."""

from tfvrnn.cli import main

main.main()
