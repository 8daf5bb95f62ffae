"""Sign out, as the real action does when the job ends."""

import subprocess

from toolkit import given, is_true

if is_true("logout"):
    subprocess.run(["docker", "logout", given("registry")], check=False)
