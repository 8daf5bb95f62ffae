"""What no local run can show: rights, pins, turns and limits, read from the files.

Each rule is applied to this repository, and to a small good one that was spoilt in one place,
where it has to bite.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import good_repository
import pytest
import rules_of_form as form
import rules_of_repository as told
import rules_of_rights as rights
import rules_of_separation as separation
from good_repository import CHECKOUT, spoilt
from tiny_repository import DOWNLOAD
from workflow_files import Repository

Rule = Callable[[Repository], Iterator[str]]

ROOT = Path(__file__).parents[2]
THIS = Repository.at(ROOT)
RULES: list[Rule] = [*rights.RULES, *separation.RULES, *form.RULES, *told.RULES]
CALL = "uses: ./.github/workflows/train.yml\n"
STORE = "      run: make push\n"
TRAINS = "        run: make train\n"
IN_PRODUCTION = "          environment: production\n"
OURS = "        if: github.event.pull_request.head.repo.full_name == github.repository"
SAVES = "        uses: ./.github/actions/save\n"

# What stands in the good repository, what comes in its place, and what has to be said of it.
BITES: dict[Rule, list[tuple[str, str, str]]] = {
    rights.nothing_is_granted_on_top: [
        ("permissions: {} # train", "", "train.yml: write `permissions: {}` on top"),
        ("permissions: {} # deploy", "permissions: read-all", "deploy.yml: write"),
    ],
    rights.each_job_has_the_grants_decided_on: [
        ("contents: read # train", "contents: write", "train.yml: train is granted"),
        ("contents: read # train", "id-token: write", "decide on that in GRANTED"),
        ("pull-requests: write # comment", "issues: write", "decided was {'contents': 'read', 'pu"),
        (
            "    permissions:\n      contents: read # release\n",
            "",
            "release does not say its",
        ),
    ],
    rights.nobody_starts_workflows: [
        ("contents: read # train", "actions: write", "granted `actions: write`: what"),
    ],
    rights.decided_grants_are_in_use: [
        ("  save:\n", "  keep:\n", "deploy.yml: save is in GRANTED, but"),
    ],
    rights.callers_grant_what_the_called_need: [
        ("pull-requests: write # train", "issues: write", "must grant `pull-requests: write`, as"),
        ("pull-requests: write # train", "pull-requests: read", "as train.yml: comment needs it"),
    ],
    rights.pull_requests_run_with_read_only: [
        ("contents: read # train", "packages: read", "and checks out a merge"),
        ("${{ github.event.pull_request.base.sha }}", "refs/pull/1/merge", "train.yml: comment"),
        ("          ref: ${{ github.event.pull_request.base.sha }}\n", "", "checks out a merge"),
        ("on: push\n", "on: [push, pull_request]\n", "deploy.yml: save has"),
        (
            "on: push\n",
            "on: {push: , workflow_dispatch: , pull_request: }\n",
            "deploy.yml: save",
        ),
    ],
    rights.actions_check_nothing_out: [
        (STORE, f"      uses: {CHECKOUT}\n", "store: Push the branch: the job that uses it"),
    ],
    rights.no_trigger_lends_rights_to_strangers: [
        ("  pull_request:\n", "  pull_request_target:\n", "train.yml: pull_request_target runs"),
        ("on: push\n", "on: [workflow_run]\n", "deploy.yml: workflow_run runs with the rights"),
    ],
    rights.secrets_are_named: [(CALL, f"{CALL}    secrets: inherit\n", "deploy.yml: train: `sec")],
    rights.credentials_do_not_stay: [
        ("persist-credentials: false # train", "fetch-depth: 0", "add `persist-credentials: fal"),
        ("persist-credentials: false # train", "persist-credentials: true", "Check out the code"),
    ],
    rights.who_reaches_the_data_has_credentials: [
        (
            "uses: ./.base/.github/actions/credentials",
            "uses: ./x",
            "Pull: the job needs ./.base/.g",
        ),
        ("./.base/.github/actions/cred", "./.github/actions/cred", "Get credentials: use ./.base/"),
        (
            "uses: ./.github/actions/credentials # judge",
            "uses: ./x",
            "Judge: the job needs ./.github/actions/credentials",
        ),
        (
            "uses: ./.github/actions/credentials\n",
            "uses: ./x\n",
            "release: Push: the job needs ./.git",
        ),
        (
            "role: write",
            "role: read",
            "release: Get credentials: use ./.github/actions/credentials",
        ),
        (
            "secrets.DATA_READ }}\n",
            "secrets.DATA_WRITE }}\n",
            "'secret': '${{ secrets.DATA_READ }}'}",
        ),
        ("secrets.DATA_READ }}\n", "toJSON(secrets) }}\n", "'secret': '${{ secrets.DATA_READ }}'}"),
    ],
    rights.forks_get_no_credentials: [
        (f"{OURS}\n", "        if: true\n", "Check out the base: `if` must hold github.event.pull"),
        (f"{OURS} # judge\n", "        if: true\n", "Get credentials: `if` must hold github.event"),
        ("ref: >- # train\n", "x: >-\n", "Check out the base: its ref must be"),
    ],
    rights.scripts_hold_no_expressions: [
        (TRAINS, "        run: echo ${{ github.actor }}\n", "Train: `${{ }}` becomes code"),
        (STORE, "      run: echo ${{ inputs.x }}\n", "store: Push the branch: `${{ }}`"),
        ("do: hand-over", "script: ${{ 1 }}", "release: Hand over the store: `${{ }}` be"),
    ],
    rights.text_of_strangers_goes_through_env: [
        ("do: hand-over", "do: ${{ github.head_ref }}", "github.head_ref in `with: do`"),
        (
            "do: hand-over",
            "do: ${{ github.event.pull_request.head.ref }}",
            "request.head.ref in",
        ),
        ("do: hand-over", "do: ${{ github.event.issue.title }}", "github.event.issue.title in"),
        (
            "do: hand-over",
            "do: ${{ github.event.commits.*.message }}",
            "*.message in `with",
        ),
    ],
    rights.runs_take_turns: [
        ("in-progress: false\nenv", "in-progress: true\nenv", "may be cut off in the middle"),
        ("      packages: write", "      packages: write\n    concurrency: x", "its turn in x"),
        ("cancel-in-progress: true", "cancel-in-progress: false", "must cancel older runs"),
        ("train-${{ github.event.pull_request.number }}", "train", "must not cancel each other"),
        ("  group: deploy\n", "", "deploy.yml needs `concurrency` with a group"),
        ("group: deploy", "group: train-${{ github.ref }}", "share the concurrency group tr"),
    ],
    rights.keys_meet_no_cache: [
        ("lock: deliveries", "cache: true", "release: Set up: no cache in a job that holds a key"),
        (
            IN_PRODUCTION,
            f"{IN_PRODUCTION}          cache: true\n",
            "Let it serve: no c",
        ),
        (
            "uses: ./.github/actions/setup\n        with:\n          lock: deliveries\n",
            "uses: actions/cache@x\n",
            "release: Set up: no cache",
        ),
        ("cache: false", "format: json", "store: Scan: add `cache: false`, else"),
    ],
    rights.who_delivers_has_a_small_lock: [
        ("lock: deliveries", "lock: all", "release: Set up: add `lock: deliveries` in a job that"),
        ("        with:\n          lock: deliveries\n", "", "release: Set up: add `lock: del"),
    ],
    rights.deployments_go_to_their_environment: [
        (
            "    environment: production\n    perm",
            "    perm",
            "job needs `environment: production`",
        ),
        (
            IN_PRODUCTION,
            IN_PRODUCTION.replace("production", "staging"),
            "the job needs `environment: staging`",
        ),
        ("outputs.image", "outputs.tag", "outputs.tag }} must be an output `image`, a digest"),
        ("${{ needs.release.outputs.image }}", "name:v1", "name:v1 must be an output `image`, a"),
        (TRAINS, "        run: mlops deploy staging\n", "Train: use ./.github/actions/deploy"),
    ],
    separation.who_judges_is_of_the_base: [
        ("path: build/proposal", "path: proposal", "works in a checkout of the base branch"),
        (
            "          ref: >- # judge\n",
            "          repository: >-\n",
            "a checkout of the base branch",
        ),
        (
            "      - name: Set up what judges\n        uses: ./.github/actions/setup\n",
            "      - name: Set up\n        uses: ./build/proposal/.github/actions/setup\n",
            "an action of what is judged",
        ),
        (
            "      - name: Set up what judges\n        uses: ./.github/actions/setup\n",
            "      - name: Set up what judges\n        uses: ./.github/actions/setup\n"
            "        with: {cache: true}\n",
            "takes nothing from a cache",
        ),
    ],
    separation.who_trains_may_only_read: [
        (
            "uses: ./.github/actions/deploy",
            "run: make pull-repro",
            "Let it serve: who trains may on",
        ),
    ],
    separation.who_makes_a_store_may_only_read: [
        (
            "contents: read # release",
            "contents: write",
            "Hand over the store: who makes a",
        ),
    ],
    separation.who_saves_does_nothing_else: [
        (SAVES, f"{SAVES}      - run: make\n", "deploy.yml: save: step 3: a job that saves only"),
        (
            "          sparse-checkout: .github\n",
            "",
            "Check out how to save: a job that saves",
        ),
    ],
    separation.who_attests_runs_no_code: [
        (
            "      - name: Attest\n",
            "      - uses: ./.github/actions/why\n      - name: Attest\n",
            "deploy.yml: attest: step 1: a job that attests runs no code",
        ),
    ],
    separation.who_proposes_runs_no_code: [
        (
            "actions/save\n",
            "actions/propose\n      - uses: ./.github/actions/setup\n",
            "deploy.yml: save: step 3: a job that proposes runs no code",
        ),
    ],
    form.actions_are_pinned: [
        (STORE, "      uses: actions/cache@v6 # v6.1.0\n", "store/action.yml: write `uses: actio"),
        (STORE, f"      uses: {CHECKOUT.split(' #')[0]}\n", "<40 hex digits> # vX.Y.Z"),
        (STORE, "      uses: docker://alpine\n", "docker://alpine@<40 hex digits>"),
    ],
    form.actions_have_one_version: [
        (STORE, f"      uses: {CHECKOUT.replace('3d', '00')}\n", "is at another commit than in"),
    ],
    form.actions_have_a_stand_in: [
        (STORE, "      uses: actions/stale@v9\n", "no stand-in in tests/workflows/standins/stale"),
    ],
    form.artifacts_are_named_by_their_ids: [
        (
            "      - name: Build\n",
            f"      - uses: {DOWNLOAD}\n        with: {{name: model}}\n      - name: Build\n",
            "deploy.yml: release: step 2: give `artifact-ids`",
        ),
        (STORE, f"      uses: {DOWNLOAD}\n", "store: Push the branch: give `artifact-ids`"),
    ],
    form.runners_are_pinned: [
        ("runs-on: ubuntu-24.04\n    timeout-minutes: 20", "runs-on: ubuntu-latest", "latest, not"),
        ("runs-on: ubuntu-24.04\n    timeout-minutes: 20", "timeout-minutes: 20", "runs on None"),
    ],
    form.what_trains_may_run_elsewhere: [
        (
            "(github.event_name != 'pull_request'\n      || github.event.pull_request.head.repo"
            ".full_name == github.repository)\n      && vars",
            "vars",
            "train.yml: train trains, so it `runs-on: ${{ (github.event_name",
        ),
        (
            "runs-on: ubuntu-24.04\n    timeout-minutes: 20",
            f"runs-on: {form.RUNNER}\n    timeout-minutes: 20",
            "does not train, so it `runs-on: ubuntu-24.04`",
        ),
    ],
    form.jobs_end: [("    timeout-minutes: 60\n", "", "train.yml: train has no timeout-minutes")],
    form.everything_has_a_name: [
        ("name: Deploy", "x: y", "deploy.yml has no name"),
        ("name: Store", "x: y", ".github/actions/store has no name"),
        ("name: release", "x: y", "deploy.yml: release has no name"),
        ("name: Hand over the store", "x: y", "deploy.yml: release: step 6 has no name"),
        ("name: Push the branch", "x: y", "store: step 2 has no name"),
    ],
    form.shells_stop_at_the_first_error: [
        ("defaults: {run: {shell: bash}}", "", "deploy.yml: add `defaults: run: shell: bash`"),
        ("      shell: bash\n      run", "      run", "store: Push the branch: add `shell: bash`"),
    ],
    form.nothing_is_reported_to_anybody: [
        ("  DO_NOT_TRACK: '1'", "  X: 1", "deploy.yml: its env must hold {'DO_NOT_TRACK'"),
    ],
    form.conditions_are_one_expression: [
        ("if: always()", "if: ${{ github.actor }} == 'x'", "== 'x'` is always true"),
        ("'somebody' }}", "'x' }} && ${{ true }}", "train.yml: train: Train: `if: ${{ !canc"),
    ],
    form.ignored_failures_are_explained: [("        # Because.\n", "", "say in a comment why")],
    form.schedules_are_crons: [
        ("17 3 * * 1-5", "17 3 * *", "train.yml: '17 3 * *' is no schedule"),
        ("17 3 * * 1-5", "60 3 * * 1", "'60 3 * * 1' is no schedule"),
        ("17 3 * * 1-5", "daily at 3 o clock", "is no schedule"),
    ],
    told.required_checks_are_jobs: [
        ('"pass"', '"model gate"', "0 jobs that pull requests start are named 'model gate'"),
        ("name: comment", "name: pass", "2 jobs that pull requests start are named 'pass'"),
        ("  pull_request:\n    types: [opened, synchronize, reopened]\n", "", "0 jobs"),
    ],
    told.required_checks_always_report: [
        ("types: [opened, synchronize, reopened]", "paths: [src]", "no paths under pull_request"),
        ("types: [opened, synchronize, reopened]", "types: [opened]", "no types under"),
        ("    if: always()\n", "", "train.yml: pass is required: with `needs`, add"),
        ("    needs: [train, judge]\n", "", "else no `if`"),
    ],
    told.required_checks_wait_for_every_job: [
        ("needs: [train, judge]", "needs: comment", "train.yml: train: no required check has it"),
        ("needs: [train, judge]", "needs: [comment]", "train.yml: train: no required"),
    ],
    told.rulesets_can_be_installed_by_name: [('"main"', '"x"', "main.json must be named like")],
    told.dependabot_sees_everything: [
        ("/.github/actions/*", "/.github/actions/setup", "actions lacks /.github/actions/store"),
        ("directories: [/,", "directories: [", "github-actions lacks /\n"),
        ("ecosystem: uv", "ecosystem: npm", "uv lacks /\n"),
        ("directory: /serve", "directory: /deploy", "docker lacks /serve\n"),
        ("directory: /serve", "directories: [/serve, /x]", "/x, which holds no Dockerfile"),
    ],
    told.dependabot_waits_and_groups: [
        ("default-days: 8", "default-days: 6", "github-actions needs groups and 7 days"),
        ('    groups: {all: {patterns: ["*"]}}\n', "", "uv needs groups"),
    ],
}


@pytest.fixture
def good_grants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "GRANTED", good_repository.GRANTED)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_this_repository_keeps_the_rule(rule: Rule) -> None:
    assert list(rule(THIS)) == []


@pytest.mark.usefixtures("good_grants")
def test_the_good_repository_keeps_every_rule() -> None:
    good = Repository(good_repository.FILES)
    assert [problem for rule in RULES for problem in rule(good)] == []


@pytest.mark.usefixtures("good_grants")
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_bites(rule: Rule) -> None:
    for old, new, sentence in BITES[rule]:
        said = "\n".join([*rule(Repository(spoilt(old, new))), ""])
        assert sentence in said, f"{old!r} -> {new!r}"


@pytest.mark.parametrize(
    ("condition", "never"),
    [
        ("github.event_name == 'push'", True),
        ("${{ github.event_name != 'pull_request' && needs.train.result == 'success' }}", True),
        ("github.event_name == 'push' || always()", False),
        ("${{ github.event_name != 'push' }}", False),
        ("", False),
    ],
)
def test_a_condition_that_keeps_pull_requests_out(condition: str, never: bool) -> None:
    assert rights.never_on_pull_requests(rights.Job("x", {"if": condition})) is never


def test_on_is_a_word() -> None:
    """YAML 1.1 would read it as true, and the rules would find no trigger at all."""
    assert THIS.workflows["train.yml"].triggers.keys() >= {"pull_request", "workflow_call"}
