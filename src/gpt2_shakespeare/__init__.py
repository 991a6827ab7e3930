"""GPT-2 trained from scratch against GPT-2 fine-tuned, on Tiny Shakespeare."""

import os

# OpenMP and cuBLAS read these once, when torch is imported; hence here, before anything else.
# PASSIVE: threads that wait give their core away (3-5 times faster on shared cores, same bits), but not at once: waking
# one takes longer than most operations (docs/performance.md, "Threads that wait").
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if os.environ["OMP_WAIT_POLICY"].upper() == "PASSIVE":
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
# One fixed workspace makes cuBLAS deterministic (NVIDIA, cuBLAS documentation, "Results reproducibility").
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
