"""Copying between the lake and back ends: a plan in pieces, so that a copy goes on where it was cut short."""
