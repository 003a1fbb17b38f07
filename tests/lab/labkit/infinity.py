"""The real Infinity on a CPU, as a container image made of PyPI's packages (1.5 GB)."""

from __future__ import annotations

from labkit.python_image import PythonImage

VERSION = "0.0.78"
# Resolving these from the package's own ranges takes pip a quarter of an hour.
PINNED = (
    "numpy==1.26.4", "sentence-transformers==3.4.1", "transformers==4.51.3", "scipy<1.14", "scikit-learn<1.6",
    "click<8.2", "fastapi", "orjson", "posthog", "prometheus-fastapi-instrumentator>=6.1,<8", "rich<14",
    "typer<0.13", "uvicorn[standard]<0.33", "einops", "huggingface_hub>=0.32,<1", "torch==2.13.0+cpu",
)  # fmt: skip
ENGINE = PythonImage(
    "infinity", VERSION, (("torch==2.13.0+cpu",), PINNED, ("--no-deps", f"infinity-emb=={VERSION}")), ("infinity_emb",)
)
