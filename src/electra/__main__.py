"""`python -m electra` is the command `electra`"""

from __future__ import annotations

import os
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line. Ctrl-C is answered in one word from here on, also while modules are imported."""
    try:
        from electra.cli import main as command

        command()
    except KeyboardInterrupt:
        os.write(2, b"electra: stopped\n")
        os._exit(130)


if __name__ == "__main__":
    main()
