"""Docstrings as HTML: enough of reStructuredText, NumPy and Google style for pages that read like a project's own
documentation.

A full parser rejects or garbles much of what real docstrings hold, so this one goes by layout alone and never fails.
"""

from __future__ import annotations

import html
import re
import textwrap

_ROLE = re.compile(r":(?:[\w-]+:)?[\w-]+:`([^`]+)`")
_LITERAL = re.compile(r"``(.+?)``|(?<!\w)`([^`\n]+)`_{0,2}(?!\w)")
_STRONG = re.compile(r"\*\*(\S(?:.*?\S)?)\*\*")
_UNDERLINE = re.compile(r"^[-=~^\"'#*+]{3,}\s*$")
_BULLET = re.compile(r"^\s*(?:[-*+]|\d{1,2}[.)])\s+")
_DIRECTIVE = re.compile(r"^\.\. ([\w-]+)::\s*(.*)$")
_DEFINED = re.compile(r"^(\*{0,2}[\w.,*` |\[\]]{1,60}?)(?:\s*:\s.*|\s*\(.*\)\s*:.*|:\s*)?$")
_SECTIONS = re.compile(
    r"^(Args|Arguments|Parameters|Returns?|Yields?|Raises|Examples?|Notes?|Attributes|References|See "
    r"Also|Warnings?):?\s*$"
)


def docstring_html(docstring: str, heading: str = "h3") -> str:
    """HTML of a docstring as `ast.get_docstring` gives it; section titles become elements of the name `heading`."""
    blocks = re.split(r"\n[ \t]*\n", textwrap.dedent(docstring).strip("\n"))
    parts: list[str] = []
    literal_follows = False
    for block in blocks:
        lines = [line.rstrip() for line in block.split("\n") if line.strip()]
        if not lines:
            continue
        if len(lines) > 1 and _UNDERLINE.match(lines[1]) and not _UNDERLINE.match(lines[0]):
            parts.append(f"<{heading}>{inline_html(lines[0].strip())}</{heading}>")
            lines = lines[2:]
        elif section := _SECTIONS.match(lines[0].strip()):
            parts.append(f"<{heading}>{section[1]}</{heading}>")
            lines = [line.rstrip() for line in textwrap.dedent("\n".join(lines[1:])).split("\n")]
        if lines and lines[0]:
            parts.append(_block_html(lines, literal_follows))
            literal_follows = lines[-1].endswith("::")
    return "\n".join(part for part in parts if part)


def inline_html(text: str) -> str:
    """One run of text, its literals, cross references and emphasis marked up."""
    text = html.escape(text, quote=False)
    text = _ROLE.sub(lambda found: f"<code>{found[1].lstrip('~.').split(' &lt;')[0]}</code>", text)
    text = _LITERAL.sub(lambda found: f"<code>{found[1] or found[2]}</code>", text)
    return _STRONG.sub(r"<strong>\1</strong>", text).removesuffix(":") + (
        ":" if text.endswith(":") and not text.endswith("::") else ""
    )


def _block_html(lines: list[str], literal: bool) -> str:
    first = lines[0].lstrip()
    if first.startswith((">>>", "...", "```", "|", "+--", "$ ")) or (literal and lines[0][0] in " \t"):
        code = "\n".join(line for line in lines if not line.strip().startswith("```"))
        return f"<pre>{html.escape(code, quote=False)}</pre>"
    if directive := _DIRECTIVE.match(first):
        return _directive_html(directive[1], directive[2], lines[1:])
    if first.startswith(".. "):
        return ""
    if _BULLET.match(lines[0]):
        return f"<ul>{''.join(f'<li>{inline_html(item)}</li>' for item in _items(lines))}</ul>"
    if len(lines) > 1 and _DEFINED.match(lines[0]) and lines[0][0] not in " \t" and lines[1][0] in " \t":
        return _definitions_html(lines)
    return f"<p>{inline_html(' '.join(line.strip() for line in lines))}</p>"


def _directive_html(name: str, argument: str, lines: list[str]) -> str:
    if name in ("code-block", "code", "math", "doctest", "plot"):
        return f"<pre>{html.escape('\n'.join(lines), quote=False)}</pre>" if lines else ""
    words = " ".join([argument, *(line.strip() for line in lines if not line.strip().startswith(":"))]).strip()
    return f'<div class="admonition {html.escape(name)}"><p>{inline_html(words)}</p></div>' if words else ""


def _items(lines: list[str]) -> list[str]:
    items: list[str] = []
    for line in lines:
        if _BULLET.match(line) or not items:
            items.append(_BULLET.sub("", line).strip())
        else:
            items[-1] += " " + line.strip()
    return items


def _definitions_html(lines: list[str]) -> str:
    """Terms at the left margin, each with the indented lines under it."""
    parts: list[str] = []
    body: list[str] = []
    for line in [*lines, ""]:
        if line and line[0] in " \t":
            body.append(line.strip())
            continue
        if body:
            parts.append(f"<dd><p>{inline_html(' '.join(body))}</p></dd>")
            body = []
        if line:
            parts.append(f"<dt>{inline_html(line.strip())}</dt>")
    return f"<dl>{''.join(parts)}</dl>"
