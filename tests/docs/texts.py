# SPDX-License-Identifier: Apache-2.0
"""Markdown: links lead somewhere, and what pages call a command is one."""
import os
import re
import urllib.parse

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
SPAN = re.compile(r"`([^`\n]+)`")
VERB = re.compile(r"^(?:[$#] )?nestbox ([a-z]+)\b")


def anchor(heading):
    """As the usual renderers make them."""
    plain = re.sub(r"[`*_]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors(text):
    return {anchor(m.group(1)) for m in re.finditer(r"^#+ (.*)$", FENCE.sub("", text), re.M)}


def links(tree):
    for page in tree.markdown():
        text = tree.text(page)
        for target in LINK.findall(FENCE.sub("", text)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, part = urllib.parse.unquote(target).partition("#")
            goal = os.path.normpath(os.path.join(os.path.dirname(page), name)) if name else page
            if not os.path.exists(tree.path(goal)):
                yield f"{page}: {target}: there is no {goal}"
            elif part and goal.endswith(".md") and part not in anchors(tree.text(goal)):
                yield f"{page}: {target}: {goal} has no heading with that anchor"


def commands(text):
    """What stands as code: lines of blocks, and spans."""
    blocks = [m.group(0) for m in FENCE.finditer(text)]
    yield from (line for block in blocks for line in block.splitlines())
    yield from SPAN.findall(FENCE.sub("", text))


def verbs_named(tree):
    """`nestbox VERB` in a page is a verb of the launcher."""
    known = set(tree.verbs())
    for page in tree.markdown():
        for command in commands(tree.text(page)):
            for verb in VERB.findall(command):
                if verb not in known:
                    yield f"{page}: 'nestbox {verb}' is no command of the launcher"
