"""What `tidemill worker -A tests.chaos.served:app` loads: the plan lies where the variable says."""

import os
from pathlib import Path

import msgspec

from tests.chaos.app import PLAN, Plan, build
from tests.chaos.tether import tether

plan = msgspec.json.decode(Path(os.environ[PLAN]).read_bytes(), type=Plan)
tether(plan.conductor)
app = build(plan)
