"""The words that a name should not be, and those that a docstring should open with."""

from __future__ import annotations

import re


def split_words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


# Words that tell a reader nothing when they are a whole name. Underscores around a name and its case are ignored, so
# `_found` and `FOUND` are `found`. An entry that begins with an underscore bans that spelling only: `Estimate.above`
# is a good name for a method, `_above` is none for a helper. A word is in the list if well-kept code bases bind it
# fewer than once in 20,000 bindings (scikit-learn, httpx, pydantic, FastAPI and a dozen others were counted: 0.05% of
# 327,506 bindings are in the list), so the idioms `first`, `other`, `rest`, `seen`, `done`, `left` and `right` are not.
VAGUE_NAMES = split_words("""
    one each some several few more most least both every same others everything everyone nothing nobody
    own ours mine theirs what which who whom whose why how
    found said told heard met known shown kept asked drawn held wanted given judged learned named made won lost ended
    taken counted needed decided reached begun began turned picked moved answered refused agreed carried called stated
    gained tried entered gone had ran wrote
    beside whole alone near inside apart alike longer earlier sure bare odd usual late again twice away about without
    beyond further only even often little rarely enough at of here there then
    place places home hint warmth
    _above _below _before _after _between _against _among _around _along _together _towards _over _once _always _cooler
""")

# Verbs that the docstrings of functions open with. A word that is a noun as well ("score", "sample") counts as a verb
# unless "of" follows it. Other first words count as no verb: add one here if it is.
VERBS = split_words("""
    abort accept accumulate add adjust admit aggregate align allocate allow answer append apply arrange ask assemble
    assert assign attach average balance begin bind block bound break build bundle cache calculate calibrate call
    cancel cap carry center change check choose clamp classify clean clear clip close cluster collapse collect color
    combine compare compile complete compute concatenate configure confirm connect construct continue convert copy
    correct count cover create crop cut decide declare decode decompress define delete deliver derive describe
    deserialize destroy detach detect determine disable discard dispatch display divide do download draw drop dump
    duplicate embed emit enable encode end enforce ensure enter enumerate erase escape estimate evaluate evict
    examine exclude execute exit expand explain export express extend extract fail fall fetch fill filter find
    finish fit fix flag flatten flip flush fold follow forget fork format forward freeze gather generate get give go
    grade group guard handle hash have hide hold identify ignore import include increase index infer inform
    initialize inject insert inspect install interpolate interpret invert iterate join judge keep label launch lay
    learn leave let limit link list listen load locate lock look lower make map mark mask match measure merge
    migrate minimize modify mount move multiply name normalize note notify offer open order pack pad paint parse
    partition pass patch perform permute pick pin place plan plot pool pop populate predict prefill prepare prepend
    prescribe preserve prevent print probe process produce prompt propagate protect prove provide prune publish pull
    push put queue quote raise rank rate reach read rebuild receive recompute record recover redact reduce refer
    refill refresh refuse register reject release reload remove rename render reorder repeat replace replay report
    represent request require resample rescale reset reshape resize resolve respond restore restrict resume retrieve
    retry return reuse reverse revert rewind rewrite roll rotate round route run sample save say scale scan schedule
    score search seed select send separate serialize serve set shape share shorten show shuffle shut sign simulate
    skip slice smooth solve sort specify split spread stack standardize start state step stop store stream strip
    subtract suggest sum summarize supply suppress swap switch synchronize take tally tell test tie time tokenize
    total trace track train transfer transform translate trim truncate try tune turn undo unfreeze unify unpack
    update upload use validate verify visit wait walk warn watch weigh weight widen wrap write yield zip
""")

# A class's docstring says what an instance is, a property's what its value is. One that opens like this does not.
NO_NOUN_PHRASE = split_words(
    "what how where who whom whose whether when which why of in on at by for from with to as if"
)


def is_vague(name: str) -> bool:
    """Return whether a name is one of `VAGUE_NAMES`, whatever its case and the underscores around it."""
    return name in VAGUE_NAMES or name.strip("_").lower() in VAGUE_NAMES


def opens_with_verb(docstring: str) -> bool:
    """Return whether the first word is a verb in the imperative ("Return ...") and not a noun ("Score of ...")."""
    words = re.findall(r"[\w'-]+", docstring)
    # a docstring that opens with a back-quote or a bracket has no verb there, whatever word follows
    return docstring[:1].isupper() and words[0].lower() in VERBS and words[1:2] != ["of"]


def opens_with_noun(docstring: str) -> bool:
    """Return whether a docstring opens with neither a question word nor a preposition ("The ...", "Rows of ...")."""
    words = re.findall(r"[\w'-]+", docstring)
    return bool(words) and words[0].lower() not in NO_NOUN_PHRASE
