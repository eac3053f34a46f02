"""`python -m scratchvae` is the command `scratchvae`."""

import sys

from .cli import main

sys.exit(main())
