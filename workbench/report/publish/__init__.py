"""Publishing: what a notebook must be like to be shown to others, and its way to its place and back."""
