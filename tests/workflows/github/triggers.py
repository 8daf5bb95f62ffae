"""Which workflows an event starts: GitHub's filters under ``on:``, which act does not know."""

import re
from typing import Any

PULL_REQUEST_TYPES = ("opened", "synchronize", "reopened")
# https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs
SKIP = re.compile(r"\[(skip ci|ci skip|no ci|skip actions|actions skip)\]|\n\nskip-checks: ?true$")


def starts(
    triggers: dict[str, Any],
    event: str,
    *,
    action: str = "",
    ref: str = "",
    changed: tuple[str, ...] = (),
    message: str = "",
) -> bool:
    """Say whether an event starts a workflow.

    Parameters
    ----------
    triggers
        What stands under ``on:``, as a mapping of events to filters (or None).
    event, action
        Its name, and for pull requests what happened to it.
    ref
        The branch or tag that was pushed, in full; for pull requests the base.
    changed
        The paths that differ.
    message
        Of the last commit: people skip workflows by it.
    """
    if event not in triggers or (event in ("push", "pull_request") and SKIP.search(message)):
        return False
    filters = triggers[event] or {}
    if event == "pull_request" and action not in filters.get("types", PULL_REQUEST_TYPES):
        return False
    return _ref_passes(filters, ref) and _paths_pass(filters, changed)


def _ref_passes(filters: dict[str, Any], ref: str) -> bool:
    kind, _, name = ref.removeprefix("refs/").partition("/")
    of_kind = {"heads": "branches", "tags": "tags"}.get(kind, "")
    named = {key for key in ("branches", "tags") if key in filters or f"{key}-ignore" in filters}
    if of_kind not in named:
        return not named  # only filters for tags: no branch starts it
    if of_kind in filters:
        return matches(filters[of_kind], name)
    return not matches(filters[f"{of_kind}-ignore"], name)


def _paths_pass(filters: dict[str, Any], changed: tuple[str, ...]) -> bool:
    if "paths" in filters:
        return any(matches(filters["paths"], path) for path in changed)
    if "paths-ignore" in filters:
        return not all(matches(filters["paths-ignore"], path) for path in changed)
    return True


def matches(patterns: str | list[str], name: str) -> bool:
    """Say whether a name matches: the last pattern that fits it decides, ``!`` excludes."""
    found = False
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if re.fullmatch(_expression(pattern.removeprefix("!")), name, re.DOTALL):
            found = not pattern.startswith("!")
    return found


def _expression(pattern: str) -> str:
    """Translate GitHub's patterns, in which ``?`` and ``+`` are those of regular expressions."""
    parts = re.findall(r"\*\*/|\*\*|\*|\[[^\]]*\]|\\.|[?+]|.", pattern, re.DOTALL)
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "?", "+": "+"}
    return "".join(
        special.get(part) or (part if part[0] in "[\\" and len(part) > 1 else re.escape(part))
        for part in parts
    )
