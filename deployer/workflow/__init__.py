"""The use cases, and the only place where spec, planning and engine are put together. Cheap to import."""

from __future__ import annotations

from deployer.workflow.inputs import Inputs, load, plan_assumed, plan_recorded
from deployer.workflow.locking import lock
from deployer.workflow.orders import Orders
from deployer.workflow.session import Planned, Session
from deployer.workflow.signals import interrupts

__all__ = ["Inputs", "Orders", "Planned", "Session", "interrupts", "load", "lock", "plan_assumed", "plan_recorded"]
