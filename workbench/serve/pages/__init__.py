"""What the front answers: pages and APIs over the rooms below."""
