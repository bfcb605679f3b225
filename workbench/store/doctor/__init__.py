"""The doctor: looks at what lies in a home, names what is broken with its rows and times, and mends what can be mended.

Looking changes nothing and takes no lock. Mending holds the writer's lock and moves what it replaces to `quarantine/`.
"""

from workbench.store.doctor.examine import apply_remedies, examine_home
from workbench.store.doctor.files import Backup
from workbench.store.doctor.findings import Finding, Quarantine, Remedy

__all__ = ["Backup", "Finding", "Quarantine", "Remedy", "apply_remedies", "examine_home"]
