"""Draw what `penchant data show` says of ten families of chat templates, for `docs/images`.

    python scripts/draw_masks.py            # write the pictures (needs playwright and a Chromium)

The templates are the imitations of `tests/templates`, and a token is a byte. Each row is rendered, marked and laid out
by the command itself; this script puts the cards next to each other and takes the picture.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import tempfile
from pathlib import Path

from penchant.cli.main import main as penchant

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from template_families import FAMILIES, family_tokenizer  # noqa: E402 - beside the tests, which are no package

PICTURES = {
    "masks-thinking": ("qwen3", "qwen3_5", "glm4_moe", "gpt_oss", "nemotron3", "smollm3"),
    "masks-plain": ("llama32", "gemma3", "phi4_mini", "lfm2"),
}
TURNS = [
    {"role": "system", "content": "Answer with a number."},
    {"role": "user", "content": "What is 17 + 25?"},
]
THOUGHT_OVER = {"reasoning": "7 and 5 are 12, so 42.", "text": "42."}
WIDTH = 1180
LAYOUT = """
body { max-width: none; padding: 1rem; }
.masks { display: grid; grid-template-columns: 1fr 1fr; gap: 0.8rem; align-items: start; }
.masks .card { margin: 0; } .masks h3 { margin: 0 0 0.25rem; }
.texts { grid-template-columns: 1fr 1fr; } .cell, .prompt { padding: 0.5rem 0.8rem; }
"""


def draw_card(family: str, folder: Path) -> tuple[str, str]:
    """Return a family's card as HTML, and the style sheet of its page, from `penchant data show`."""
    model = folder / family
    family_tokenizer(family).save_pretrained(model)
    (model / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 400}))
    chosen: object = THOUGHT_OVER if FAMILIES[family].thoughts else "42."
    row = {"prompt": TURNS, "responses": [chosen, "41."], "comparisons": [{"winner": 0, "loser": 1}]}
    (folder / f"{family}.jsonl").write_text(json.dumps(row) + "\n")
    page = folder / f"{family}.html"
    # a template that writes the date is told one, so that equal code draws equal pictures
    dated = "strftime_now" in family_tokenizer(family).chat_template
    args = {"today": "2026-01-31"} if dated else {}
    words = [str(folder / f"{family}.jsonl"), f"model={model}", "held_out=0", "thoughts=mask", f"out={page}"]
    words.append(f"template_args={json.dumps(args)}")
    if penchant(["data", "show", *words]) != 0:
        raise SystemExit(f"penchant data show refuses the row of {family}")
    html = page.read_text(encoding="utf-8")
    card = re.search(r"<article.*</article>", html, re.DOTALL)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert card is not None
    assert style is not None
    # the path of a temporary folder says nothing
    return card.group().replace(f"{folder}/", ""), style.group(1)


def draw_page(families: tuple[str, ...], folder: Path) -> str:
    """Return a page with the cards of some families."""
    cards = {family: draw_card(family, folder) for family in families}
    style = next(style for _, style in cards.values())
    body = "".join(f"<div><h3>{family}</h3>{card}</div>" for family, (card, _) in cards.items())
    return f"<!doctype html><meta charset=utf-8><style>{style}{LAYOUT}</style><div class=masks>{body}</div>"


def main() -> int:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description="Draw what `penchant data show` says of ten chat templates.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images", help="the folder of the pictures")
    parser.add_argument("--chromium", help="the browser's program; playwright's own if not given")
    options = parser.parse_args()
    from PIL import Image
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        for picture, families in PICTURES.items():
            page = browser.new_page(viewport={"width": WIDTH, "height": 600}, color_scheme="light")
            page.set_content(draw_page(families, Path(name)))
            image = Image.open(io.BytesIO(page.locator("body").screenshot()))
            # flat colours: a palette of 64 loses nothing that a reader sees, and two thirds of the bytes
            image.convert("RGB").quantize(64).save(options.out / f"{picture}.png", optimize=True)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
