"""Change an answer to the template's questions: ``make answer deploy_target=kubernetes``.

The project is generated twice, with the answers as they were and as they shall be, and only what
differs is changed in it: all of it, or nothing. In a file that is yours, single values change.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

LINK, SETTINGS, PYTHON, PARAMS = ".cruft.json", "pyproject.toml", ".python-version", "params.yaml"
LOCKS = "requirements*.txt"  # what `make lock` writes
NAMES = ("project_name", "project_slug")
CREDENTIALS = re.compile(r"://[^/\s]*@")


class AnswerError(Exception):
    """Why nothing was changed, in a sentence."""


def main() -> None:
    """Change the answers that the command line of make gives, and say what that has changed."""
    try:
        given = asked(os.environ.get("MAKEFLAGS", ""))
        with TemporaryDirectory() as folder:
            changed, by_hand = change(given, Path(folder))
    except AnswerError as error:
        sys.exit(f"make answer: {error}")
    print("changed:", *changed, sep="\n  ")
    for sentence in by_hand:
        print(sentence)
    made = "`make clean setup`, " if PYTHON in changed else ""
    made = "`make setup`, " if SETTINGS in changed and not made else made
    print(f"Next: look at `git status` and `git diff`, {made}commit")


def asked(flags: str) -> dict[str, str]:
    """Return the variables in what make hands on: blanks have a backslash, dollars are doubled."""
    _, _, variables = f" {flags}".partition(" -- ")
    words = re.findall(r"(?:\\.|[^ \t\\])+", variables.replace("$$", "$"), re.DOTALL)
    pairs = (re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL).partition("=") for word in words)
    return {name: value for name, _, value in pairs}


def change(given: dict[str, str], folder: Path) -> tuple[list[str], list[str]]:
    """Change the project; returns the paths that changed, and what is left to do by hand."""
    if run("git", "rev-parse", "--show-prefix").stdout != "\n":
        raise AnswerError("this folder is not the top of a git repository; `git init` makes it one")
    if not Path(LINK).exists():
        raise AnswerError("the project is not linked to its template; `cruft link URL` does that")
    link = json.loads(Path(LINK).read_text(encoding="utf-8"))
    answers = link["context"]["cookiecutter"]
    now = {name: value for name, value in answers.items() if not name.startswith("_")}
    check(given, now)
    template = fetch(link, folder / "template")
    questions = Path(template, link.get("directory") or "", "cookiecutter.json")
    for name, choices in json.loads(questions.read_text(encoding="utf-8")).items():
        if name in given and isinstance(choices, list) and given[name] not in choices:
            raise AnswerError(f"{name} is {given[name]!r}; expected one of {', '.join(choices)}")
    old = generate(template, link, now, folder / "a")
    new = generate(template, link, now | given, folder / "b")
    there = files(old) | files(new)
    changes = {path for path in there if content(old / path) != content(new / path)}
    # These are written anew instead.
    changes -= {LINK, *(path.name for path in (*old.glob(LOCKS), *new.glob(LOCKS)))}
    yours = {path for path in changes if owned(path, link.get("skip") or [])}
    answers |= given
    written = json.dumps(link, ensure_ascii=False, indent=2, separators=(",", ": "))
    texts, by_hand = {LINK: f"{written}\n".encode()}, []
    for path in sorted(yours):
        sides = (content(side / path) for side in (Path(), old, new))
        text, left = edited(path, *(side.decode() for side in sides))
        texts |= {path: text.encode()} if Path(path).exists() else {}
        by_hand += left
    for path in there - (changes - yours):
        (old / path).unlink(missing_ok=True)
        (new / path).unlink(missing_ok=True)
    plain = ("--no-index", "--no-prefix", "--no-color", "--no-ext-diff", "--no-renames", "--binary")
    run("git", "diff", *plain, "--output=patch", "a", "b", cwd=folder)
    patch = [str(folder / "patch")] if changes - yours else []
    others = write(patch, texts, bool(changes & {SETTINGS, PYTHON}))
    return sorted(others | changes - yours), by_hand


def check(given: dict[str, str], now: dict[str, Any]) -> None:
    """Refuse what cannot be an answer, whatever the template says."""
    listed = ", ".join(name for name in now if name not in NAMES)
    if not given:
        raise AnswerError(f"no answer is given; write QUESTION=ANSWER for one of {listed}")
    for name, value in given.items():
        if name in NAMES:
            raise AnswerError(
                f"{name} stays: the registry knows the model by that name, and would lose it"
            )
        if name not in now:
            raise AnswerError(f"{name} is not a question of the template; expected one of {listed}")
        if value == now[name]:
            raise AnswerError(f"{name} is {value!r} already")


def fetch(link: dict[str, Any], clone: Path) -> Path:
    """Fetch the template at the commit that the project is from."""
    done = run("git", "clone", "--quiet", "--no-checkout", "--", link["template"], str(clone))
    if done.returncode == 0:
        done = run("git", "checkout", "--quiet", "--detach", link["commit"], cwd=clone)
    if done.returncode:
        said = " ".join(f"{link['template']}, {link['commit'][:7]}: {done.stderr}".split())
        raise AnswerError(f"the template cannot be fetched: {CREDENTIALS.sub('://', said)}")
    return clone


def generate(template: Path, link: dict[str, Any], answers: dict[str, Any], project: Path) -> Path:
    """Make the project with these answers, in a folder without a repository."""
    # Each is rendered as an expression is, and so has to be one that stands for itself.
    texts = {
        name: f"{{{{ {json.dumps(value)} }}}}" if "{" in str(value) else value
        for name, value in answers.items()
    }
    inside = ("--directory", link["directory"]) if link.get("directory") else ()
    done = run(
        *("cruft", "create", str(template), "--checkout", link["commit"], "--no-input", *inside),
        *("--output-dir", f"{project}-made", "--extra-context", json.dumps(texts)),
    )
    if done.returncode:
        said = re.findall("^Not generated: (.+)$", done.stderr, re.MULTILINE)
        lines = said or (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise AnswerError(" ".join(lines) or f"cruft ended with {done.returncode}")
    (made,) = Path(f"{project}-made").iterdir()
    shutil.rmtree(made / ".git")
    return made.rename(project)


def files(project: Path) -> set[str]:
    return {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}


def content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def owned(path: str, more: list[str]) -> bool:
    """Say whether a path is the user's, by the lists that cruft reads."""
    settings = tomllib.loads(Path(SETTINGS).read_text(encoding="utf-8"))
    skip = settings.get("tool", {}).get("cruft", {}).get("skip", []) + more
    return any(
        path == it or path.startswith(f"{it.rstrip('/')}/") or fnmatch(path, it) for it in skip
    )


def edited(path: str, text: str, old: str, new: str) -> tuple[str, list[str]]:
    """Return a file of the user's with the values of the new answers, and what it has otherwise."""
    left = []
    if old.count("\n") != new.count("\n"):
        left.append(
            f"{path} is yours, and gets more or fewer lines: compare a new project's by hand"
        )
        old = new
    for line, other in zip(old.splitlines(), new.splitlines(), strict=False):
        if line == other:
            continue
        words, others = (re.findall(r"\s+|\S+", side) for side in (line, other))
        while words and others and words[-1] == others[-1]:
            del words[-1], others[-1]
        value, instead = "".join(words), "".join(others)
        one, done = (re.compile(rf"^{re.escape(it)}(?!\S)", re.M) for it in (value, instead))
        if len(one.findall(text)) == 1:
            text = one.sub(lambda _, instead=instead: instead, text)
        elif len(done.findall(text)) != 1:
            left.append(
                f"{path} is yours, and has not exactly one line that starts with {value!r}: "
                f"write {instead!r} there by hand"
            )
    if left and path == PARAMS:
        raise AnswerError(f"{left[0]}, and try again")
    return text, left


def write(patch: list[str], texts: dict[str, bytes], lock: bool) -> set[str]:
    """Apply the patch, write the texts and lock, or put everything back.

    Returns which files changed, without those of the patch.
    """
    apply = ("git", "apply", "--whitespace=nowarn")
    checked = run(*apply, "--check", *patch) if patch else None
    if checked and checked.returncode:
        named = re.findall(r"^error: (?:patch failed: )?(.+?)(?::\d+|: .*)$", checked.stderr, re.M)
        paths = ", ".join(dict.fromkeys(named)) or checked.stderr.strip()
        raise AnswerError(
            f"{paths}: not as the template made it, so that the answer does not apply"
        )
    kept = {path: path.read_bytes() for path in (*map(Path, texts), *Path().glob(LOCKS))}
    try:
        if patch:
            subprocess.run([*apply, *patch], check=True)
        for path, text in texts.items():
            Path(path).write_bytes(text)
        made = run("make", "lock") if lock else None
        if made and made.returncode:
            lines = (line.strip() for line in made.stderr.splitlines())
            why = next((it for it in lines if it and not it.lower().startswith("warning")), "")
            raise AnswerError(f"`make lock` failed, and everything was put back: {why}")
    except BaseException:
        if patch:
            run(*apply, "--reverse", *patch)
        for path in {*Path().glob(LOCKS)} - kept.keys():
            path.unlink()
        for path, was in kept.items():
            path.write_bytes(was)
        raise
    return {str(path) for path, was in kept.items() if path.read_bytes() != was}


def run(*command: str, cwd: Path = Path()) -> subprocess.CompletedProcess[str]:
    around = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "MAKE", "MFLAGS")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(around)}
    told = {"capture_output": True, "encoding": "utf-8", "errors": "replace"}
    return subprocess.run(command, cwd=cwd, env={**kept, "LC_ALL": "C"}, check=False, **told)


if __name__ == "__main__":
    main()
