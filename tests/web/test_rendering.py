"""An annotator sees every character that counts, and no text keeps the page busy."""

from __future__ import annotations

import html as entities
import json
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.clean_text import clean
from penchant.data.write import group_to_row
from penchant.types import Message, PromptGroup, Response, ToolCall, prompt_text
from penchant.web.entry_content import EntryContent
from penchant.web.markdown import is_costly
from penchant.web.pages import work_context
from penchant.web.rendering import AS_IT_IS, Show, as_html
from penchant.web.sources import different_members
from penchant.web.visible import hides_text, look_alike


def seen(html: str) -> str:
    """What stands on the page: text without tags, and the numbers of list items."""
    numbered = re.sub(r'<li value="(\d+)">', r"\1 ", html)
    return entities.unescape(re.sub(r"<[^>]*>", "", numbered))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[id]: http://secret.example 'A title'", "[id]: http://secret.example"),
        ("see [this][id]\n\n[id]: /where", "[id]: /where"),
        ("```python title=secret\nx\n```", "python title=secret"),
        ("| a | b |\n|---|---|\n| 1 | 2 | beyond |", "beyond"),
        ('[text](/where "a title")', '/where "a title"'),
        ("![alt](/where.png 'a title')", '/where.png "a title"'),
        ("<!-- a comment -->", "<!-- a comment -->"),
        ("<details hidden>x</details>", "<details hidden>x</details>"),
        ("&nbsp;&lt;b&gt;", "&nbsp;&lt;b&gt;"),
        ("7. seven\n9. nine", "9"),
        ("2*3*4", "2*3*4"),
        ("def __init__(self):", "__init__"),
        (r"\(x\) and \[y\] cost 5\%", r"\(x\) and \[y\] cost 5\%"),
        ("[empty]()", "empty"),
        ("[](http://only.example)", "http://only.example"),
        ("![](http://only.example)", "http://only.example"),
        ("[a]: <b> (c)\n[a]", "[a]: <b> (c)"),
    ],
)
def test_what_markdown_would_hide_is_seen(text: str, shown: str) -> None:
    assert shown in seen(str(as_html(text)))


def test_common_markdown_is_rendered_and_not_shown_as_it_is() -> None:
    text = (
        "# Head\n\nSome **bold**, *slanted* and `code`.\n\n1. one\n2. two\n   - sub\n\n> quote\n\n"
        "| a | b |\n|:-:|---|\n| 1 | x \\| y |\n\n```js\nf();\n```\n\n"
        "A [link](https://e.org), これは**重要**です, \\*no\\* emphasis.\n\n---\n"
    )
    html = str(as_html(text))
    assert AS_IT_IS not in html
    for tag in ("h3", "strong", "em", "code", "ol", "ul", "blockquote", "table", "pre", "hr"):
        assert f"<{tag}" in html


def test_pictures_that_are_shown_need_no_address() -> None:
    here = "/admin/picture/" + "0" * 64
    html = str(as_html('![a cat](cat.png "Tom") sits', "markdown", (("cat.png", here),)))
    assert f'<img src="{here}" alt="a cat">' in html
    assert "a cat (Tom)" in seen(html)
    assert AS_IT_IS not in html


@pytest.mark.parametrize("text", ["#", "######", "***", "- ", "+", "> ", "****", "[]()"])
def test_marks_alone_are_seen(text: str) -> None:
    assert seen(str(as_html(text))).startswith(text.strip())


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("- 5", "+ 5", True),
        ("5", "- 5", True),
        ("**yes**", "yes", True),
        ("if a:\n    b", "if a:\nb", True),
        ("5", "6", False),
        ("yes", "no **yes**", False),
    ],
)
def test_responses_that_only_marks_tell_apart_stand_as_they_are_written(one: str, other: str, alike: bool) -> None:
    content = EntryContent([("", "p")], [one, other], {})
    shown: Any = work_context(content, [1, 0], "markdown", 0, (1, 1, 1), "/w/1")["responses"]
    assert [('class="plain"' in str(response["html"])) for response in shown] == [alike, alike]
    if alike:
        assert [seen(str(response["html"])) for response in shown] == [other, one]


def test_one_response_that_is_there_twice_is_shown_as_ever() -> None:
    assert not look_alike(["**a**", "**a**"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\U000e0049\U000e0047b", "a⟨U+E0049⟩⟨U+E0047⟩b"),  # letters of tags, which models read and nobody sees
        ("yes\ufe0f\ufe01\ufe02", "yes\ufe0f⟨U+FE01⟩⟨U+FE02⟩"),
        ("\u3164", "⟨U+3164⟩"),
        ("\u2800", "⟨U+2800⟩"),
        ("pass\u200cword", "pass⟨U+200C⟩word"),
        ("a\u2028b", "a⟨U+2028⟩b"),
        ("Z" + "\u0300" * 5, "Z" + "\u0300" * 4 + "⟨U+0300⟩"),
        ("\u202eabc", "⟨U+202E⟩abc"),
        ("می\u200cخواهم 👨\u200d👩 ❤\ufe0f 1\ufe0f\u20e3", "می\u200cخواهم 👨\u200d👩 ❤\ufe0f 1\ufe0f\u20e3"),
        ("\U0001f3f4\U000e0067\U000e0062\U000e007f", "\U0001f3f4\U000e0067\U000e0062\U000e007f"),
    ],
)
@pytest.mark.parametrize("show", ["markdown", "plain"])
def test_what_only_models_see_is_shown_by_its_code(text: str, shown: str, show: Show) -> None:
    assert seen(str(as_html(text, show))).strip() == shown


def test_the_comparison_finds_what_is_missing_and_what_is_moved() -> None:
    assert not hides_text("**a** b", "<p><strong>a</strong> b</p>")
    assert hides_text("a b c", "<p>a c</p>")
    assert hides_text("a b", "<p>b a</p>")
    assert hides_text("a a", "<p>a</p>")


WORDS = 'alpha beta gamma 12 7. 3) - * ** _ __ ` ``` ~~~ ~~ # ## > | |a|b| |---|---| [ ] ( ) [x](/u) [x]: /u "t"'
MARKS = (
    "![p](q) <b> </b> <!-- --> & &amp; \\ \n \n\n ! : = === --- <http://e.org> \t $ % ^ { } é 重要 ![p][x] [x][y] \r\n"
)
pieces = st.sampled_from([*WORDS.split(" "), *MARKS.split(" ")])


@settings(max_examples=250, deadline=None, derandomize=True)
@given(st.one_of(st.lists(pieces, max_size=25).map(" ".join), st.lists(pieces, max_size=25).map("".join), st.text()))
def test_every_word_is_seen_or_the_text_stands_as_it_is(text: str) -> None:
    html = str(as_html(text))
    if AS_IT_IS in html or "an empty text" in html:
        return
    on_page = re.findall(r"[^\W_]", seen(html).replace("[picture: ", "["))
    assert on_page == re.findall(r"[^\W_]", clean(text)), html
    written = re.findall(r"[^\W_]+", clean(text))
    assert sum(word in seen(html) for word in written) == len(written), html


COSTLY = {
    "a wide table of empty rows": "|" + "a|" * 2500 + "\n|" + "-|" * 2500 + "\n" + "|\n" * 3000,
    "a long table of empty rows": "|" + "a|" * 60 + "\n|" + "-|" * 60 + "\n" + "|\n" * 7000,
    "tables inside of quotes": "> |" + "a|" * 60 + "\n> |" + "-|" * 60 + "\n" + "> |\n" * 5000,
    "many small tables": "|a|b|\n|-|-|\n" * 1500,
    "brackets": "[" * 20_000,
    "links": "[a](b" * 4000,
    "pictures": "![a" * 6000,
    "emphasis": "**a *b " * 2800,
    "underscores": "__a__" * 4000,
    "backticks": "`a " * 6600,
    "quotes": "> " * 10_000,
}


@pytest.mark.parametrize("name", COSTLY)
def test_no_text_keeps_the_page_busy(name: str) -> None:
    """A table of 16,000 characters took 5.6 seconds; processor time, for other tests run beside."""
    begun = time.process_time()
    as_html(COSTLY[name][:20_000])
    assert time.process_time() - begun < 1.5


def test_what_people_write_is_not_costly() -> None:
    table = "| a | b | c |\n|---|---|---|\n" + "| 1 | 2 | 3 |\n" * 200
    assert not is_costly(table + "text [1] with [2] notes\n" * 100)


def test_calls_thoughts_and_functions_are_shown() -> None:
    call = ToolCall("weather", '{"city": "Rome"}')
    prompt = (
        Message("tools", '[{"type": "function", "function": {"name": "weather"}}]'),
        Message("user", "Weather?"),
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", "31 C", name="weather"),
    )
    group = PromptGroup(prompt, [Response("It is 31.", reasoning="I look."), Response("", tool_calls=(call,)), "Hot."])
    content = EntryContent.read(json.dumps(group_to_row(group)))
    written = '{"name": "weather", "arguments": {"city": "Rome"}}'
    assert content.turns == [
        ("Functions that the assistant may call", prompt[0].content),
        ("Person", "Weather?"),
        ("Assistant", written),
        ("Result of a function", "(weather)\n31 C"),
    ]
    assert content.responses == ["<think>\nI look.\n</think>\nIt is 31.", written, "Hot."]
    # two answers that call other functions are not alike, though both have no text
    other = Response("", tool_calls=(ToolCall("alarm"),))
    assert different_members(PromptGroup("p", [Response("", tool_calls=(call,)), other])) == [0, 1]
    assert prompt_text(prompt).endswith("tool: (weather)\n31 C")
