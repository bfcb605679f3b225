"""Interactive sessions of notebooks: their seats, kernels and sandboxes."""
