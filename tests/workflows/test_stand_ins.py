"""The stand-ins do what the actions do, including what people trip over."""

import os
import shutil
import sys
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote

from act_run import Run
from projects import MAKEFILE, ROOT
from tiny_repository import (
    CACHE,
    CHECKOUT,
    DOWNLOAD,
    SETUP_PYTHON,
    UPLOAD,
    TinyRepository,
)


def said(log: str, *beginnings: str) -> list[str]:
    return [line for line in log.splitlines() if line.startswith(beginnings)]


def test_a_sparse_checkout_of_the_base_runs_its_action(tiny: TinyRepository) -> None:
    action = ".github/actions/comment/action.yml"
    runs = "runs: {using: composite, steps: [{shell: bash, run: echo said by %s}]}\n"
    tiny.write(action, runs % "main")
    tiny.steps(
        "pull_request",
        f"""
        - uses: {CHECKOUT}
          with:
            ref: ${{{{ github.event.pull_request.base.sha }}}}
            sparse-checkout: .github/actions/comment
            persist-credentials: false
        - uses: ./.github/actions/comment
        - run: |
            echo "files: $(find . -type f -not -path './.git/*' | sort | xargs)"
            echo "token: $(git config --get-regexp extraheader)"
        """,
    )
    tiny.write("src/a.py", "")
    tiny.push("Main")
    tiny.write(action, runs % "the change")
    (run,) = tiny.pull_request()
    assert run.conclusion == "success", run.log
    assert said(run.log.replace("[tiny.yml/one] ", ""), "said", "files", "token") == [
        "said by main",
        # Git keeps the files at the top of the repository, too.
        "files: ./.github/actions/comment/action.yml ./README.md",
        "token: ",
    ]


def test_how_much_is_fetched_and_who_may(tiny: TinyRepository) -> None:
    tiny.push("Two")
    run = tiny.run(
        f"""
        - uses: {CHECKOUT}
        - run: |
            echo "shallow $(git rev-list --count HEAD) on $(git branch --show-current)"
            git push --quiet origin HEAD:with-token && echo pushed
            touch untracked
        - uses: {CHECKOUT}
          with: {{fetch-depth: 0, persist-credentials: false}}
        - run: |
            echo "deep $(git rev-list --count HEAD)"; test ! -e untracked
            git push --quiet origin HEAD:without || echo refused
        - uses: {CHECKOUT}
          with: {{ref: with-token, path: below/it}}
        - run: echo "below $(git -C below/it branch --show-current)"
        - uses: {CHECKOUT}
          with: {{ref: nowhere, path: not/there}}
        """
    )
    words = ("shallow", "pushed", "deep", "refused", "below")
    assert said(run.jobs["one"].log, *words) == [
        "shallow 1 on main",
        "pushed",
        "deep 3",
        "refused",
        "below with-token",
    ]
    assert (
        run.annotations[0].message == "A branch or tag with the name 'nowhere' could not be found"
    )


def test_caches_stay_with_their_branch_but_for_those_of_main(tiny: TinyRepository) -> None:
    tiny.steps(
        "{push: {branches: [main]}, pull_request: , workflow_dispatch: }",
        f"""
        - uses: {CHECKOUT}
        - id: cache
          uses: {CACHE}
          with:
            path: |
              kept
              ~/.cache/tool
            key: data-${{{{ hashFiles('*.lock') }}}}-${{{{ github.sha }}}}
            restore-keys: data-${{{{ hashFiles('*.lock') }}}}-
        - run: |
            echo "hit <$HIT> $(cat kept/* ~/.cache/tool/* 2> /dev/null | xargs)"
            mkdir -p kept ~/.cache/tool
            echo "$GITHUB_REF_NAME" > kept/file; echo home > ~/.cache/tool/file
          env: {{HIT: "${{{{ steps.cache.outputs.cache-hit }}}}"}}
        """,
    )

    def hit(run: Run) -> str:
        (line,) = said(run.jobs["one"].log, "hit")
        return line

    tiny.write("a.lock", "1")
    (first,) = tiny.push("First")
    assert hit(first) == "hit <> "
    (change,) = tiny.pull_request()
    assert hit(change) == "hit <false> main home"
    assert hit(tiny.github.rerun(change)) == "hit <true> 1/merge home"
    assert hit(tiny.github.merge(1)[0]) == "hit <false> main home"
    of_lock = sha256(sha256(b"1").digest()).hexdigest()
    kept = [unquote(path.name) for path in tiny.github.folder.glob("caches/*/*")]
    assert len(kept) == 3
    assert all(name.startswith(f"data-{of_lock}-") for name in kept)


def test_artifacts(tiny: TinyRepository) -> None:
    run = tiny.run(
        f"""
        - run: |
            mkdir -p out/deep .hidden/deep; touch out/a out/deep/b out/.c .hidden/d .hidden/deep/e
            echo f > f; ln -s ../f out/link; chmod +x out/a
        - uses: {UPLOAD}
          with: {{name: folder, path: out}}
        - uses: {UPLOAD}
          with: {{name: hidden, path: .hidden, if-no-files-found: ignore}}
        - uses: {UPLOAD}
          with: {{name: all, path: .hidden, include-hidden-files: true}}
        - uses: {UPLOAD}
          with:
            name: several
            path: |
              out/*
              f
              !out/a
        - id: first
          uses: {UPLOAD}
          with: {{name: single, path: f}}
        - id: second
          uses: {UPLOAD}
          with: {{name: single, path: out/a, overwrite: true}}
        - uses: {DOWNLOAD}
          with: {{pattern: s*, path: down}}
        - run: echo "found $(cd down; find . -type f | sort | xargs)"
        - uses: {DOWNLOAD}
          with: {{artifact-ids: "${{{{ steps.second.outputs.artifact-id }}}}", path: by-id}}
        - run: echo "by id $(ls by-id)"
        - uses: {DOWNLOAD}
          continue-on-error: true
          with: {{artifact-ids: "${{{{ steps.first.outputs.artifact-id }}}}"}}
        - uses: {DOWNLOAD}
          continue-on-error: true
          with: {{name: nothing}}
        - uses: {UPLOAD}
          with: {{name: single, path: f}}
        """
    )
    kept = {
        name: sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        for name, folder in run.artifacts.items()
    }
    assert kept == {
        "folder": ["a", "deep/b", "link"],
        "all": ["d", "deep/e"],
        "several": ["f", "out/deep/b", "out/link"],
        "single": ["a"],
    }
    assert (run.artifacts["folder"] / "link").read_text() == "f\n"
    assert not (run.artifacts["folder"] / "link").is_symlink()
    assert not os.access(run.artifacts["folder"] / "a", os.X_OK)
    (found,) = said(run.jobs["one"].log, "found")
    assert found == "found ./several/f ./several/out/deep/b ./several/out/link ./single/a"
    assert said(run.jobs["one"].log, "by id") == ["by id a"]
    assert [it.message for it in run.annotations] == [
        "Unable to download artifact(s): None of the provided artifact IDs were found",
        "Unable to download artifact(s): Artifact not found for name: nothing",
        "(409) Conflict: an artifact with this name already exists on the workflow run",
        "Process completed with exit code 1.",
    ]


def test_make_setup_has_nothing_to_do(tiny: TinyRepository) -> None:
    for name in ("requirements.txt", "pyproject.toml", ".python-version"):
        shutil.copyfile(ROOT / name, tiny.folder / name)
    shutil.copyfile(MAKEFILE, tiny.folder / "Makefile")
    tiny.write("src/mlops/__init__.py", "PLACE = __file__\n")
    real = Path(sys.prefix)
    stamps = [real / "setup", real / "folder", real / "bin" / "uv"]
    before = [stamp.stat().st_mtime_ns for stamp in stamps if stamp.exists()]
    run = tiny.run(
        f"""
        - run: |
            if python -c "import mlops"; then exit 1; fi
        - uses: {CHECKOUT}
        - id: python
          uses: {SETUP_PYTHON}
          with: {{python-version-file: .python-version}}
        - run: |
            make setup
            echo "$PWD/.venv/bin" >> "$GITHUB_PATH"
        - run: |
            python -c "import mlops, yaml; print('mlops of', mlops.PLACE)"
            python -c "import sys; print('environment', sys.prefix)"
            markdown-it --version
            rm .venv/bin/uv .venv/bin/markdown-it
        - uses: {SETUP_PYTHON}
          with: {{python-version-file: .nowhere}}
          continue-on-error: true
        """
    )
    assert run.conclusion == "success", run.log
    assert "python version file at: .nowhere doesn't exist" in run.annotations[0].message
    log = run.jobs["one"].log
    assert "make: Nothing to be done for 'setup'." in log.splitlines()
    (place,) = said(log, "mlops of")
    assert place.endswith("/hostexecutor/src/mlops/__init__.py")
    (environment,) = said(log, "environment")
    assert environment.endswith("/hostexecutor/.venv")
    assert [stamp.stat().st_mtime_ns for stamp in stamps if stamp.exists()] == before
