"""Of two versions of the same package take the newer one, in pyproject.toml and in the locks.

Dependabot raises in a project what the template raises, too. git sees two changes of one line, and
does not know that the newer version is the answer to both.
"""

import re
from collections import Counter, defaultdict

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

# As git marks it: the project's side, perhaps the common ancestor, and the template's side.
CONFLICT = re.compile(
    r"^<{7} [^\n]*\n(.*?)(?:^\|{7}[^\n]*\n.*?)?^={7}\n(.*?)^>{7} [^\n]*\n",
    re.MULTILINE | re.DOTALL,
)
# As uv writes it. Comments come after it: on whose account a package is there.
PIN = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+).*\n(?:    --hash=.*(?:\n|\Z))*", re.MULTILINE
)


def resolved(text: str) -> str:
    """Return pyproject.toml without the conflicts that are only about versions."""
    return CONFLICT.sub(lambda conflict: _newer_lines(*conflict.groups()) or conflict[0], text)


def merged(project: str, template: str, before: str) -> str:
    """Return the project's lock with what the template has raised, and to a newer version.

    ``before`` is the template's lock as the project got it: a package that is the same there is
    older in the project because somebody wanted it so.
    """
    ours, theirs, old = map(_pins, (project, template, before))
    newer = {
        name
        for name in ours.keys() & theirs.keys()
        if theirs[name] != old.get(name) and _versions(theirs[name]) > _versions(ours[name])
    }
    seen: Counter[str] = Counter()

    def taken(pin: re.Match[str]) -> str:
        name = pin["name"]
        if name not in newer:
            return pin[0]
        # One package can have several pins, for several Pythons: the last takes what is over.
        place, seen[name] = seen[name], seen[name] + 1
        end = None if seen[name] == len(ours[name]) else seen[name]
        return "".join(theirs[name][place:end])

    return PIN.sub(taken, project)


def _newer_lines(ours: str, theirs: str) -> str | None:
    """Return the side, made of both, that has the newer versions; None where more differs."""
    pairs = list(zip(ours.split('"'), theirs.split('"'), strict=False))
    if ours.count('"') != theirs.count('"') or any(our != their for our, their in pairs[::2]):
        return None
    texts = [our if our == their else _newer(our, their) for our, their in pairs]
    return None if None in texts else '"'.join(text or "" for text in texts)


def _newer(our: str, their: str) -> str | None:
    """Return the newer of two requirements of the same package, if it is that and nothing else."""
    try:
        sides = [(Requirement(text)) for text in (our, their)]
        (our_form, ours), (their_form, theirs) = map(_form, sides)
    except (InvalidRequirement, InvalidVersion):
        return None
    if our_form != their_form:
        return None
    versions = list(zip(ours, theirs, strict=True))
    if all(one <= other for one, other in versions):
        return their
    return our if all(one >= other for one, other in versions) else None


def _form(requirement: Requirement) -> tuple[object, list[Version]]:
    """Split a requirement into its versions and all else, which has to be the same."""
    clauses = sorted(requirement.specifier, key=lambda clause: clause.operator)
    form = (
        canonicalize_name(requirement.name),
        requirement.extras,
        str(requirement.marker),
        requirement.url,
        [clause.operator for clause in clauses],
    )
    return form, [Version(clause.version.removesuffix(".*")) for clause in clauses]


def _pins(lock: str) -> dict[str, list[str]]:
    found = defaultdict(list)
    for pin in PIN.finditer(lock):
        found[pin["name"]].append(pin[0])
    return dict(found)


def _versions(pins: list[str]) -> list[Version]:
    found = (PIN.match(pin) for pin in pins)
    return sorted((Version(pin["version"]) for pin in found if pin), reverse=True)
