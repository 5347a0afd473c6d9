"""The programs `tfvrnn train`, `tfvrnn sample`, ..., one module per program."""
