"""Fast inference: frozen weights and compiled kernels."""
