"""What made files of the package: graphs, tables, constants. Not part of the wheel."""
