"""`python -m vaurien …` runs the program with these arguments."""

import os
import sys

from ._program import find

os.execv(path := find(), [path, *sys.argv[1:]])
