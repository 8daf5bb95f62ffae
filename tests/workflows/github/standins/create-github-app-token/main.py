"""Hand out the token of an app that is installed in the repository."""

from toolkit import fail, given, is_true, known_inputs_only, record, set_output

known_inputs_only()
if given("app-id") or given("owner") or given("repositories") or is_true("skip-token-revoke"):
    fail("the stand-in for create-github-app-token knows client-id, private-key and permissions")
if not given("client-id"):
    fail("The 'client-id' (or deprecated 'app-id') input must be set to a non-empty string")
if not given("private-key"):
    fail("Input required and not supplied: private-key")
kinds = ("contents", "issues", "pull-requests", "workflows")
record("app", may={kind: given(f"permission-{kind}") for kind in kinds})
print("::add-mask::ghs_ofApp", flush=True)
set_output("token", "ghs_ofApp")
set_output("installation-id", 1)
set_output("app-slug", "flights")
