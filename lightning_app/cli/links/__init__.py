"""Links: what models, their networks and parts of networks take from the data module."""

from lightning_app.cli.links.data_links import Instantiator, keep_given_targets, link_data_to_model
from lightning_app.cli.links.part_links import PartInstantiator
from lightning_app.cli.links.unused_calendar import leave_calendar_out

__all__ = ["Instantiator", "PartInstantiator", "keep_given_targets", "leave_calendar_out", "link_data_to_model"]
