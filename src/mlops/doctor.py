"""``mlops doctor``: which safeguards are on, what the others would add, and what turns them on.

Read from the files of the project, from git, and, where somebody is signed in, from GitHub. What
could not be seen is said, and counts neither as on nor as off.
"""

import base64
import configparser
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml

from mlops.project import files, git, params
from mlops.project.errors import MlopsError, first_line

State = Literal["on", "off", "unseen"]

MARKS: dict[State, str] = {"on": "✓", "off": "✗", "unseen": "?"}
STORE = "mlops-store"
SECONDS = 30  # for one answer of GitHub
# What a DVC remote is reached with, as pyproject.toml calls the group and the lock the plugin.
PLUGINS = {"s3": "s3", "gs": "gs", "azure": "azure", "ssh": "ssh"}
GITHUB = re.compile(
    r"(?:\w+://)?(?:[^@/]+@)?(?P<host>[^:/]+)(?::\d+/|[:/])(?P<name>[^/]+/[^/]+?)/?"
)
PROTECT = "make protect RULES=team (or alone)"


class UnseenError(Exception):
    """Why something could not be seen, in a few words."""


@dataclass(frozen=True)
class Safeguard:
    """One line: ``said`` is what was found; ``mend`` is what turns it on, where it is not."""

    name: str
    state: State
    said: str
    mend: str = ""

    def __str__(self) -> str:
        line = f"{MARKS[self.state]} {self.name:13} {self.said}"
        return f"{line} → {self.mend}" if self.mend else line


@dataclass
class GitHub:
    """A repository on GitHub, asked through ``gh``, which brings the token."""

    host: str
    name: str
    silent: list[str] = field(default_factory=list)  # why nobody answers, once that is known

    def get(self, path: str = "") -> Any:
        """Return what GitHub answers about the repository.

        Raises
        ------
        UnseenError
            When it cannot be asked, or does not tell.
        """
        return json.loads(self._ask(path))

    def find(self, path: str) -> Any:
        """Return the same; None where it has no such thing, as a file on a branch."""
        return json.loads(self._ask(path, absent="null"))

    def names(self, path: str, key: str) -> set[str]:
        """Return the names in a list that may have several pages."""
        said = self._ask(f"{path}?per_page=30", "--paginate", "--jq", f".{key}[].name")
        return set(said.split("\n")) - {""}

    def _ask(self, path: str, *options: str, absent: str = "") -> str:
        if self.silent:
            raise UnseenError(self.silent[0])
        where = f"repos/{self.name}/{path}".rstrip("/")
        command = ["gh", "api", "--hostname", self.host, where, *options]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except FileNotFoundError:
            raise self._fall_silent("gh is not installed (https://cli.github.com)") from None
        except subprocess.TimeoutExpired:
            raise self._fall_silent(f"GitHub has not answered for {SECONDS} s") from None
        if done.returncode == 0:
            return done.stdout
        said = " ".join(done.stderr.split())
        status = re.search(r"\(HTTP (\d{3})\)", said)
        if done.returncode == 4 or "gh auth login" in said or (status and status[1] == "401"):
            raise self._fall_silent("nobody is signed in: gh auth login, or GH_TOKEN")
        if status is None:
            raise self._fall_silent("GitHub was not reached")
        if status[1] == "404" and absent:
            return absent
        if status[1] == "404" and not path:
            raise self._fall_silent(f"GitHub shows no {self.name} to whoever is signed in")
        if "Upgrade to" in said:
            raise UnseenError("this plan of GitHub has it for public repositories only")
        raise UnseenError(f"whoever is signed in may not see it (HTTP {status[1]})")

    def _fall_silent(self, why: str) -> UnseenError:
        self.silent.append(why)
        return UnseenError(why)

    @cached_property
    def about(self) -> dict[str, Any]:
        return dict(self.get())

    @cached_property
    def secrets(self) -> set[str]:
        return self._given("secrets")

    @cached_property
    def variables(self) -> set[str]:
        return self._given("variables")

    def _given(self, kind: str) -> set[str]:
        """Return the names of secrets or variables, those of the organisation included."""
        found = self.names(f"actions/{kind}", kind)
        if self.about["owner"]["type"] == "Organization":
            found |= self.names(f"actions/organization-{kind}", kind)
        return found


def examine() -> list[Safeguard]:
    """Return all safeguards of the project in this folder, in the order in which they build up."""
    github = origin()
    found = [settings()]
    for name, check, adds in CHECKS:
        try:
            found.append(check(github))
        except UnseenError as error:
            found.append(Safeguard(name, "unseen", f"{adds}: not seen, as {error}"))
        # A file that was edited, or a GitHub of another version, is not as it is read here.
        except (OSError, ValueError, LookupError, TypeError) as error:
            said = f"{adds}: not seen, as something has another form ({first_line(error)})"
            found.append(Safeguard(name, "unseen", said))
    return found


def summary(found: list[Safeguard]) -> str:
    """Say how many are on, in one sentence."""
    on, off, unseen = (sum(it.state == state for it in found) for state in MARKS)
    said = f"{on} of {len(found)} safeguards are on, {off} {'is' if off == 1 else 'are'} off"
    return f"{said}, and {unseen} could not be seen." if unseen else f"{said}."


def origin() -> GitHub:
    """Return the repository that ``origin`` is; one that cannot be asked says why when it is."""
    url = git.ask("remote", "get-url", "origin")
    if url is None:
        return GitHub("", "", ["there is no remote, yet"])
    found = GITHUB.fullmatch(url.removesuffix(".git"))
    if not found or url.startswith(("/", ".", "file:")):
        return GitHub("", "", ["origin is not on GitHub"])
    return GitHub(found["host"], found["name"])


@cache
def _params() -> params.Params | str:
    try:
        return params.settings()
    except MlopsError as error:
        return str(error).partition("\n")[0]


def settings() -> Safeguard:
    read = _params()
    if isinstance(read, str):
        return Safeguard("settings", "off", read, "correct params.yaml; mlops check")
    return Safeguard("settings", "on", f"params.yaml is in order; the model is {read.name}")


def remote(github: GitHub) -> Safeguard:
    if not github.host and git.ask("remote", "get-url", "origin") is None:
        create = "gh repo create --private --source . --push"
        return Safeguard("remote", "off", "no remote named origin: no workflow runs", create)
    if github.find(f"branches/{github.about['default_branch']}") is None:
        push = "git push --set-upstream origin main"
        return Safeguard("remote", "off", f"{github.name} is empty", push)
    return Safeguard("remote", "on", f"{github.name} on {github.host}")


def dvc_remote() -> str:
    """Return the address of the DVC remote."""
    config = configparser.ConfigParser()
    try:
        config.read_string(Path(".dvc/config").read_text(encoding="utf-8"))
        return config[f"'remote \"{config['core']['remote']}\"'"]["url"]
    except (OSError, KeyError, configparser.Error, UnicodeDecodeError):
        raise UnseenError(".dvc/config names no remote that can be read") from None


def _built_in(url: str) -> bool:
    return Path(".dvc", url).resolve().is_relative_to(files.STORE.resolve())


def data(_: GitHub) -> Safeguard:
    url = dvc_remote()
    if _built_in(url):
        return Safeguard("data", "on", f"kept in the built-in store, the branch {STORE}")
    plugin = PLUGINS.get(urlsplit(url).scheme)
    lock = Path("requirements.txt").read_text(encoding="utf-8")
    where = _without_login(url)
    if plugin and not re.search(rf"^dvc-{plugin}==", lock, re.MULTILINE):
        return Safeguard("data", "off", f"nothing here reads {where}", f"make add GROUP={plugin}")
    return Safeguard("data", "on", f"kept in {where}")


def _without_login(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)


def credentials(github: GitHub) -> Safeguard:
    read = _params()
    if isinstance(read, str):
        raise UnseenError("params.yaml cannot be read")
    where = [_without_login(it) for it in [read.tracking_uri] if it]
    where += [_without_login(url) for url in [dvc_remote()] if not _built_in(url)]
    if not where:
        return Safeguard("credentials", "on", "none are needed: data and registry are built in")
    path = Path(".github/actions/credentials/action.yml")
    try:
        steps = yaml.safe_load(path.read_text(encoding="utf-8"))["runs"]["steps"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        raise UnseenError(f"{path} cannot be read") from None
    if len(steps) > 1:
        return Safeguard("credentials", "on", f"{path.parent} has steps of your own")
    missing = sorted({"DATA_READ", "DATA_WRITE"} - github.secrets)
    if missing:
        said = f"{' and '.join(missing)} not set: no workflow reaches {' or '.join(where)}"
        if len(missing) == 1:
            does = "write to" if missing == ["DATA_WRITE"] else "read"
            said = f"{missing[0]} is not set: no workflow can {does} {' or '.join(where)}"
        set_all = "; ".join(f"gh secret set {it}" for it in missing)
        return Safeguard("credentials", "off", said, set_all)
    return Safeguard("credentials", "on", "DATA_READ and DATA_WRITE are set")


def rulesets(github: GitHub) -> Safeguard:
    wanted = {path.stem: path for path in sorted(Path(".github/rulesets").glob("*.json"))}
    if not wanted:
        raise UnseenError("this version of the project has no .github/rulesets; update it")
    listed = github.get("rulesets?includes_parents=false&per_page=100")
    there = {it["name"]: it["id"] for it in listed}
    wrong = list(_loose_rules(github, wanted, there))
    if wrong:
        said = f"{'; '.join(wrong)}: what the checks say is advice"
        return Safeguard("rulesets", "off", said, PROTECT)
    said = f"{' and '.join(wanted)} {'are' if len(wanted) > 1 else 'is'} in force"
    return Safeguard("rulesets", "on", said)


def _loose_rules(github: GitHub, wanted: dict[str, Path], there: dict[str, int]) -> Iterator[str]:
    for name, path in wanted.items():
        if name not in there:
            yield f"{name} is not installed"
            continue
        live = github.get(f"rulesets/{there[name]}")
        if live["enforcement"] != "active":
            yield f"{name} is installed and not in force ({live['enforcement']})"
            continue
        file = json.loads(path.read_text(encoding="utf-8"))
        missing = _required(file) - _required(live)
        missing |= {it["type"] for it in file["rules"]} - {it["type"] for it in live["rules"]}
        if missing:
            yield f"{name} lacks {', '.join(sorted(missing))}"


def _required(ruleset: dict[str, Any]) -> set[str]:
    """Return the names of the checks that a ruleset requires."""
    return {
        check["context"]
        for rule in ruleset["rules"]
        if rule["type"] == "required_status_checks"
        for check in rule["parameters"]["required_status_checks"]
    }


def owners(github: GitHub) -> Safeguard:
    answer = github.find("codeowners/errors")
    edit = "name a person or a team that may write here in .github/CODEOWNERS"
    if answer is None:
        return Safeguard("owners", "off", "GitHub finds no CODEOWNERS: nobody is asked", edit)
    if answer["errors"]:
        error = answer["errors"][0]
        said = f"{error['path']} line {error['line']}: {error['kind']}"
        return Safeguard(
            "owners", "off", f"{said}; nobody can give the review that is wanted", edit
        )
    return Safeguard("owners", "on", "those in .github/CODEOWNERS are asked for reviews")


def _environments(github: GitHub) -> dict[str, dict[str, Any]]:
    listed = github.get("environments?per_page=100")["environments"]
    return {it["name"]: it for it in listed}


def environments(github: GitHub) -> Safeguard:
    there = _environments(github)
    wanted = ("staging", "production")
    missing = [it for it in wanted if it not in there]
    open_ = [it for it in wanted if it in there and not there[it].get("deployment_branch_policy")]
    wrong = [f"{it} is not there" for it in missing]
    wrong += [f"{it} may be used from any branch" for it in open_]
    if wrong:
        said = f"{'; '.join(wrong)}: a branch could use its secrets"
        return Safeguard("environments", "off", said, PROTECT)
    return Safeguard(
        "environments", "on", "staging and production deploy from chosen branches only"
    )


def reviewers(github: GitHub) -> Safeguard:
    rules = _environments(github).get("production", {}).get("protection_rules", [])
    asked = [it for it in rules if it["type"] == "required_reviewers"]
    if not asked:
        page = f"https://{github.host}/{github.name}/settings/environments"
        said = "merging deploys: nobody has to approve production"
        return Safeguard("reviewers", "off", said, f"Required reviewers in {page}")
    names = [it["reviewer"].get("login") or it["reviewer"]["slug"] for it in asked[0]["reviewers"]]
    return Safeguard("reviewers", "on", f"production waits for {' or '.join(names)}")


def proposals(github: GitHub) -> Safeguard:
    if not github.get("actions/permissions/workflow")["can_approve_pull_request_reviews"]:
        path = f"repos/{github.name}/actions/permissions/workflow"
        allow = (
            f"gh api --method PUT {path} -f default_workflow_permissions=read "
            "-F can_approve_pull_request_reviews=true"
        )
        return Safeguard("proposals", "off", "retrainings and updates arrive as issues", allow)
    return Safeguard("proposals", "on", "retrainings and updates arrive as pull requests")


def checks_of_proposals(github: GitHub) -> Safeguard:
    if "UPDATE_TOKEN" in github.secrets:
        return Safeguard("their checks", "on", "start by themselves, by UPDATE_TOKEN")
    client, key = "PROPOSE_CLIENT_ID" in github.variables, "PROPOSE_KEY" in github.secrets
    if client and key:
        return Safeguard("their checks", "on", "start by themselves, by your app")
    set_both = "gh variable set PROPOSE_CLIENT_ID; gh secret set PROPOSE_KEY"
    if client or key:
        there = "PROPOSE_CLIENT_ID" if client else "PROPOSE_KEY"
        missing = "the secret PROPOSE_KEY" if client else "the variable PROPOSE_CLIENT_ID"
        fails = "drift.yml and update.yml fail" if client else "the app is not used"
        return Safeguard(
            "their checks", "off", f"half made: {there} without {missing}, so {fails}", set_both
        )
    said = "wait until somebody presses Approve workflows to run"
    return Safeguard("their checks", "off", said, f"{set_both} (a GitHub App of yours)")


def cml(github: GitHub) -> Safeguard:
    try:
        program = Path(".github/lib/cml.py").read_text(encoding="utf-8")
    except OSError:
        raise UnseenError("this version of the project has no .github/lib/cml.py") from None
    version = re.search(r'"(v\d+\.\d+\.\d+)"', program)
    try:
        answer = github.find(f"contents/cml.sha256?ref={STORE}")
        known, when = base64.b64decode(answer["content"]).decode() if answer else "", ""
    except UnseenError:
        fetched = git.ask("show", f"origin/{STORE}:cml.sha256")
        if fetched is None:
            raise
        known, when = fetched, ", as of the last git fetch"
    if version and f"  {version[1]}/" in known:
        return Safeguard("CML", "on", f"only the {version[1]} on record may comment{when}")
    said = f"{version[1] if version else 'it'} is not on record{when}: gh writes the comments"
    return Safeguard("CML", "off", said, "the next deployment records it")


def signatures(github: GitHub) -> Safeguard:
    private = github.about["private"]
    value = None
    if "ATTEST" in github.variables:
        # One of the organisation is not the repository's own, and its value is not to be had here.
        value = (github.find("actions/variables/ATTEST") or {}).get("value")
        if value is None:
            raise UnseenError("ATTEST is a variable of the organisation")
    if value == "true" or (value is None and not private):
        return Safeguard("signatures", "on", "no image is deployed whose origin is not proved")
    why = f"ATTEST is {value}" if value is not None else "the repository is private"
    turn_on = "gh variable set ATTEST --body true" if private else "gh variable delete ATTEST"
    where = " (on Enterprise Cloud)" if private else ""
    said = f"{why}: nothing proves where an image is from"
    return Safeguard("signatures", "off", said, turn_on + where)


def drift(github: GitHub) -> Safeguard:
    path = Path(".github/workflows/drift.yml")
    try:
        events = yaml.safe_load(path.read_text(encoding="utf-8"))[True]  # YAML 1.1 reads `on` so
        crons = [it["cron"] for it in events.get("schedule") or []]
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise UnseenError(f"{path} cannot be read") from None
    if not crons:
        said = "drift.yml has no schedule: nobody looks by itself"
        return Safeguard("drift", "off", said, f"schedule: in {path}")
    try:
        answer = github.find("actions/workflows/drift.yml")
    except UnseenError as error:
        raise UnseenError(f"{error} (drift.yml says {crons[0]!r})") from None
    if answer is None:
        return Safeguard("drift", "off", "GitHub has no drift.yml, yet", "git push")
    if answer["state"] != "active":
        enable = "gh workflow enable drift.yml"
        return Safeguard("drift", "off", f"drift.yml is switched off ({answer['state']})", enable)
    read = _params()
    replay = not isinstance(read, str) and read.drift.replay
    shown = ", on the example's months (drift.replay)" if replay else ""
    return Safeguard("drift", "on", f"is looked for at {crons[0]!r} UTC{shown}")


def predictions(github: GitHub) -> Safeguard:
    if "PREDICTION_LOG_URI" in github.variables:
        return Safeguard("predictions", "on", "drift is judged on what the service was asked")
    said = "drift is judged on new raw data, not on what the service was asked"
    return Safeguard("predictions", "off", said, "gh variable set PREDICTION_LOG_URI")


def alerts(github: GitHub) -> Safeguard:
    given = github.secrets | github.variables
    told = [it for it in ("NOTIFY_URL", "PUSHGATEWAY_URL") if it in given]
    if told:
        return Safeguard("alerts", "on", f"{' and '.join(told)} set: somebody is told")
    said = "nobody is told of drift, refused data and failed deployments"
    return Safeguard("alerts", "off", said, "gh secret set NOTIFY_URL")


def updates(_: GitHub) -> Safeguard:
    if not Path(".cruft.json").is_file():
        said = "not linked to a template: the machinery stays as it is"
        return Safeguard("updates", "off", said, "cruft link URL")
    if not Path(".github/workflows/update.yml").is_file():
        raise UnseenError("this version of the project has no update.yml")
    return Safeguard("updates", "on", "update.yml proposes what is new in the template")


# In the order in which they build up, with what each adds.
CHECKS: list[tuple[str, Callable[[GitHub], Safeguard], str]] = [
    ("remote", remote, "where the workflows run"),
    ("data", data, "where workflows find data and models"),
    ("credentials", credentials, "let workflows reach data and registry"),
    ("rulesets", rulesets, "nothing is merged without green checks and a review"),
    ("owners", owners, "who is asked for a review"),
    ("environments", environments, "only the default branch deploys"),
    ("reviewers", reviewers, "somebody approves what goes into production"),
    ("proposals", proposals, "retrainings and updates arrive as pull requests"),
    ("their checks", checks_of_proposals, "start by themselves"),
    ("CML", cml, "only the file on record may comment"),
    ("signatures", signatures, "each image's origin is proved before it is deployed"),
    ("drift", drift, "is looked for on a schedule"),
    ("predictions", predictions, "drift is judged on what the service was asked"),
    ("alerts", alerts, "somebody is told of drift, refused data and failed deployments"),
    ("updates", updates, "what is new in the template is proposed"),
]
