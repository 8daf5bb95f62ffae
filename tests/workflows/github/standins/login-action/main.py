"""Sign in to a registry."""

import subprocess

from toolkit import fail, given, known_inputs_only, record

known_inputs_only()
if given("scope") or given("registry-auth"):
    fail("the stand-in for docker/login-action knows neither scope nor registry-auth")
if not given("username") or not given("password"):
    fail("Username and password required")
record("login-action", registry=given("registry"), username=given("username"))
command = ["docker", "login", "--password-stdin", "--username", given("username")]
done = subprocess.run(
    [*command, given("registry")], input=given("password"), text=True, check=False
)
if done.returncode:
    fail(f"docker login failed with {done.returncode}")
