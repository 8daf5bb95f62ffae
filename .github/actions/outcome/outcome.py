"""Print what became of a deployment, as Markdown: each job, why one failed, and what serves now."""

import html
import json
import os
import re
from pathlib import Path
from typing import Any

JOBS = {
    "train": "Train and judge",
    "register": "Register as challenger",
    "save": "Save the registry",
    "build": "Build, smoke-test, scan",
    "image": "Push",
    "attest": "Attest",
    "staging": "Deploy to staging",
    "production": "Deploy to production",
    "promote": "Promote",
    "save-promotion": "Save the promotion",
}
PUT_BACK = "put-back"  # only where the promotion did not go through
SIGNS = {"success": "✅", "failure": "❌", "cancelled": "🛑", "skipped": "-"}
WITHOUT_REASON = {
    "failure": "not approved, or stopped before its steps; the run says why",
    "cancelled": "cancelled",
}
REFUSED = "the data or the model was refused, or a job failed; the run says why"  # train.yml

Job = dict[str, Any]


def main() -> None:
    """Print the table for the jobs in ``$NEEDS``; a failure is an output, too."""
    needs = json.loads(os.environ["NEEDS"])
    print(told(needs))
    if failed(needs):
        with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
            file.write(f"failure={plain(conclusion(needs))}\n")


def told(needs: dict[str, Job]) -> str:
    """Return the table, and the sentence that sums it up."""
    lines = ["## Deployment", "", conclusion(needs), "", "| step | | |", "|---|---|---|"]
    ran = {PUT_BACK: "Put the champion back"} if needs[PUT_BACK]["result"] != "skipped" else {}
    for name, title in (JOBS | ran).items():
        result = needs[name]["result"]
        lines.append(f"| {title} | {SIGNS[result]} {result} | {text(why(name, needs[name]))} |")
    return "\n".join(lines)


def failed(needs: dict[str, Job]) -> bool:
    """Return whether it failed, and was not just cancelled before it changed what serves."""
    if needs["save-promotion"]["result"] == "success":
        return False
    began = needs["production"]["outputs"].get("deploy") or "skipped"
    results = [job["result"] for job in needs.values()]
    return "failure" in results or began != "skipped" or needs[PUT_BACK]["result"] != "skipped"


def conclusion(needs: dict[str, Job]) -> str:
    """Say which version serves now."""
    version = needs["register"]["outputs"].get("version", "")
    champion = needs["register"]["outputs"].get("champion", "none")
    if needs["save-promotion"]["result"] == "success":
        return f"**Version {version} serves in production, and is champion.**"
    ran = needs[PUT_BACK]["result"] != "skipped"
    failed = (job for job in JOBS if needs[job]["result"] in WITHOUT_REASON)
    stopped = next(failed, "save-promotion" if ran else "")
    if not stopped:
        return "**Not deployed.**"
    candidate = f"Version {version}" if version else "The candidate"
    sentence = f"**{candidate} is not deployed**: it stopped at {JOBS[stopped].lower()}"
    if reason := why(stopped, needs[stopped]):
        sentence += f" ({text(reason)})"
    return f"{sentence}. {serves(champion, version, needs)}"


def serves(champion: str, version: str, needs: dict[str, Job]) -> str:
    """Say what serves after a deployment that failed, as far as the place itself has said it."""
    ran = [needs[job] for job in (PUT_BACK, "production") if needs[job]["result"] != "skipped"]
    told = next((job["outputs"] for job in ran if job["outputs"].get("deploy")), {})
    now, tried = told.get("serves", ""), told.get("deploy", "skipped") != "skipped"
    if tried and not now:
        return (
            "**What serves now is not known: nothing that was asked has answered. Look at it now.**"
        )
    if tried and now == needs["image"]["outputs"].get("image"):
        return f"**Version {version} serves nevertheless, and is not champion. Look at it now.**"
    if tried and now == "none" and champion != "none":
        return "**Nothing serves in production. Look at it now.**"
    if tried and now not in ("none", needs["register"]["outputs"].get("champion-image", "")):
        return (
            f"{text(now)} serves, which this run knows nothing of: somebody has deployed or rolled "
            "back meanwhile, or look at it now."
        )
    if champion != "none":
        return f"Version {champion} is still champion, and serves."
    return "There is no champion yet." if version else "The champion, if there is one, serves."


def why(name: str, job: Job) -> str:
    """Return the reason that a job has given, or the usual one; nothing for one that went well."""
    usual = WITHOUT_REASON.get(job["result"], "")
    if name == "train" and job["result"] == "failure":
        usual = REFUSED
    return usual and str(job["outputs"].get("why") or usual)


def text(words: str) -> str:
    """Escape what would be Markdown or HTML: it may be other people's."""
    return re.sub(r"([\\`*_\[\]|~#@])", r"\\\1", html.escape(words, quote=False))


def plain(sentence: str) -> str:
    """Return in one line what a sentence was before it became Markdown."""
    unescaped = re.sub(r"\\([\\`*_\[\]|~#@])", r"\1", sentence.replace("**", ""))
    return " ".join(html.unescape(unescaped).split())


if __name__ == "__main__":
    main()
