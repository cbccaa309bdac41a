"""Public data sets by name: downloads, checksums, file formats."""
