"""The programs: `tfvrnn train`, `tfvrnn sample`, ...; a module for each."""
