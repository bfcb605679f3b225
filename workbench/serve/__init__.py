"""The front door for people, the doors for machines, and the processes of `workbench up`."""

__all__: list[str] = []
