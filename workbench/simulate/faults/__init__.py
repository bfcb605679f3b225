"""What goes wrong on the simulated platform: the kinds, when they happen, and how strong they are over time."""
