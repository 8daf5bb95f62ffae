"""A small repository that keeps every rule; tests spoil it in one place at a time."""

import json

from rules_of_form import OWN_RUNNER

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
GRANTED = {
    "train.yml: comment": {"contents": "read", "pull-requests": "write"},
    "deploy.yml: train": {"contents": "read", "pull-requests": "write"},
    "deploy.yml: save": {"contents": "write"},
    "deploy.yml: attest": {"attestations": "write"},
    "deploy.yml: production": {"packages": "write"},
}
ENVIRONMENT = """\
env:
  DO_NOT_TRACK: 1
  DVC_NO_ANALYTICS: 1
  ITERATIVE_DO_NOT_TRACK: 1
  MLFLOW_DISABLE_TELEMETRY: "true"
"""
TRAIN = f"""\
name: Train
on:
  pull_request:
    types: [opened, synchronize, reopened]
  schedule:
    - cron: "17 3 * * 1-5"
  workflow_call:
permissions: {{}} # train
concurrency:
  group: train-${{{{ github.event.pull_request.number }}}}
  cancel-in-progress: true
{ENVIRONMENT}\
defaults:
  run:
    shell: bash
jobs:
  train:
    name: train
    runs-on: >-
      ${{{{ (github.event_name != 'pull_request'
      || github.event.pull_request.head.repo.full_name == github.repository)
      && vars.RUNNER || 'ubuntu-24.04' }}}}
    timeout-minutes: 60
    permissions:
      contents: read # train
    steps:
      - name: Check out the code
        uses: {CHECKOUT}
        with:
          persist-credentials: false # train
      - name: Check out the base
        if: github.event.pull_request.head.repo.full_name == github.repository
        uses: {CHECKOUT}
        with:
          path: .base # train
          ref: >- # train
            ${{{{ github.event.pull_request.base.sha || github.event.merge_group.base_sha
            || github.sha }}}}
          persist-credentials: false
      - name: Get credentials
        uses: ./.base/.github/actions/credentials
        with:
          role: read
          secret: ${{{{ secrets.DATA_READ }}}}
      - name: Pull
        run: mlops pull-data
      - name: Train
        if: ${{{{ !cancelled() && github.actor != 'somebody' }}}}
        env:
          TITLE: ${{{{ github.event.pull_request.title }}}}
        run: make train
        # Because.
        continue-on-error: true
  judge:
    name: judge
    runs-on: {OWN_RUNNER}
    timeout-minutes: 5
    permissions:
      contents: read
    steps:
      - name: Check out what judges
        uses: {CHECKOUT}
        with:
          ref: >- # judge
            ${{{{ github.event.pull_request.base.sha || github.event.merge_group.base_sha
            || github.sha }}}}
          persist-credentials: false
      - name: Check out what is judged
        uses: {CHECKOUT}
        with:
          path: build/proposal
          persist-credentials: false
      - name: Set up what judges
        uses: ./.github/actions/setup
      - name: Get credentials
        if: github.event.pull_request.head.repo.full_name == github.repository # judge
        uses: ./.github/actions/credentials # judge
        with: {{role: read, secret: "${{{{ secrets.DATA_READ }}}}"}}
      - name: Judge
        run: mlops judge build/proposal build/made
  comment:
    name: comment
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions:
      contents: read
      pull-requests: write # comment
    steps:
      - name: Check out how to comment
        uses: {CHECKOUT}
        with:
          ref: ${{{{ github.event.pull_request.base.sha }}}}
          persist-credentials: false
  pass:
    name: pass
    needs: [train, judge]
    if: always()
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions: {{}}
    steps:
      - name: Say so
        run: "true"
"""
DEPLOY = f"""\
name: Deploy
on: push
permissions: {{}} # deploy
concurrency:
  group: deploy
  cancel-in-progress: false
{ENVIRONMENT.replace(": 1", ": '1'")}\
defaults: {{run: {{shell: bash}}}}
jobs:
  train:
    name: train
    uses: ./.github/workflows/train.yml
    permissions:
      contents: read
      pull-requests: write # train
  release:
    name: release
    runs-on: ubuntu-24.04
    timeout-minutes: 20
    permissions:
      contents: read # release
    steps:
      - name: Set up
        uses: ./.github/actions/setup
        with:
          lock: deliveries
      - name: Build
        run: docker build .
      - name: Check out what was merged
        uses: {CHECKOUT}
        with:
          persist-credentials: false
      - name: Get credentials
        uses: ./.github/actions/credentials
        with:
          role: write
          secret: ${{{{ secrets.DATA_WRITE }}}}
      - name: Push
        run: dvc push
      - name: Hand over the store
        uses: ./.github/actions/store
        with:
          do: hand-over
  save:
    name: save
    needs: release
    runs-on: ubuntu-24.04
    timeout-minutes: 10
    permissions:
      contents: write # save
    steps:
      - name: Check out how to save
        uses: {CHECKOUT}
        with:
          sparse-checkout: .github
          persist-credentials: false
      - name: Save
        uses: ./.github/actions/save
  attest:
    name: attest
    needs: release
    runs-on: ubuntu-24.04
    timeout-minutes: 10
    permissions:
      attestations: write
    steps:
      - name: Attest
        uses: actions/attest@1e69f48acb82d1966a394da916b4c1698aa569d6 # v4.2.2
  production:
    name: production
    needs: release
    runs-on: ubuntu-24.04
    timeout-minutes: 10
    environment: production
    permissions:
      packages: write # production
    steps:
      - name: Let it serve
        uses: ./.github/actions/deploy
        with:
          environment: production
          image: ${{{{ needs.release.outputs.image }}}}
          variables: ${{{{ toJSON(vars) }}}}
"""
STORE = """\
name: Store
description: Saves the store
runs:
  using: composite
  steps:
    - name: Scan
      uses: aquasecurity/trivy-action@ed142fd0673e97e23eac54620cfb913e5ce36c25 # v0.36.0
      with:
        cache: false
    - name: Push the branch
      shell: bash
      run: make push
"""
DEPENDABOT = """\
updates:
  - package-ecosystem: uv
    directory: /
    cooldown: {default-days: 7}
    groups: {all: {patterns: ["*"]}}
  - package-ecosystem: github-actions
    directories: [/, /.github/actions/*]
    cooldown: {default-days: 8}
    groups: {actions: {patterns: ["*"]}}
  - package-ecosystem: docker
    directory: /serve
    cooldown: {default-days: 9}
    groups: {images: {patterns: ["*"]}}
"""
CHECKS = {"required_status_checks": [{"context": "pass"}]}
RULESET = {"name": "main", "rules": [{"type": "required_status_checks", "parameters": CHECKS}]}

FILES = {
    ".github/workflows/train.yml": TRAIN,
    ".github/workflows/deploy.yml": DEPLOY,
    ".github/actions/store/action.yml": STORE,
    ".github/dependabot.yml": DEPENDABOT,
    ".github/rulesets/main.json": json.dumps(RULESET),
    "serve/Dockerfile": "FROM scratch\n",
}


def spoilt(old: str, new: str) -> dict[str, str]:
    """Return the files with a text replaced that stands in exactly one place of one of them."""
    places = {path: text.count(old) for path, text in FILES.items() if old in text}
    assert list(places.values()) == [1], f"{old!r} stands in {places}"
    return {path: text.replace(old, new) for path, text in FILES.items()}
