"""Programs that generate data files of the package or check its code. Not part of the wheel."""
