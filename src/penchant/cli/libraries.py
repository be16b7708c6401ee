"""Keep the bars and warnings of libraries out of logs. To be called before any of them is imported."""

from __future__ import annotations

import os
import sys
import warnings

NAMES = ("torch", "transformers", "datasets", "huggingface_hub", "accelerate", "peft", "safetensors", "tokenizers")
VERBOSITIES = ("TRANSFORMERS_VERBOSITY", "DATASETS_VERBOSITY", "HF_HUB_VERBOSITY")
BARS = ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")


def quiet_libraries() -> None:
    """Let libraries say errors alone, and draw no bars where nobody watches.

    What the environment says already stands. In a terminal their bars stay: a download of gigabytes is worth one.
    """
    for name in VERBOSITIES:
        os.environ.setdefault(name, "error")
    # a bar that is redrawn a hundred times is one line of 20,000 characters in a file
    if sys.stderr is None or not sys.stderr.isatty():
        for name in BARS:
            os.environ.setdefault(name, "1")
    # `python -W` has the last word; what Penchant itself warns of goes through its log
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", module=rf"({'|'.join(NAMES)})(\.|$)")
