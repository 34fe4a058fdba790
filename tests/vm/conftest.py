"""The guest's tests are for the virtual machine; here they are run only where that is said to be enough."""

from __future__ import annotations

import os

collect_ignore = [] if os.environ.get("VIRTUAL_MACHINE") else ["guest"]
