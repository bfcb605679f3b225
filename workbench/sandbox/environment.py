"""What a kernel may know of our environment."""

from __future__ import annotations

from collections.abc import Mapping

PASSED_ON = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "NUMBA_CACHE_DIR",
             "IPYTHONDIR", "MPLCONFIGDIR", "WORKBENCH_HOME")  # fmt: skip
PASSED_ON_BY_BEGINNING = ("LC_", "PYTHON", "XDG_", "JUPYTER_", "OMP_", "OPENBLAS_", "MKL_", "WORKBENCH_QUERY_")


def kernel_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Where things lie and how many threads there are, never a token or an address."""
    secret = ("JUPYTER_TOKEN", "JUPYTER_PASSWORD")
    return {
        name: value
        for name, value in environ.items()
        if (name in PASSED_ON or name.startswith(PASSED_ON_BY_BEGINNING)) and name not in secret
    }
